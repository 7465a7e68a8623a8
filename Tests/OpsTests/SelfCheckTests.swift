import SwiftletOpChecks
import Testing

@Suite struct SelfCheckTests {
  @Test(arguments: SelfCheck.all.map(\.name)) func holds(_ name: String) {
    for check in SelfCheck.all where check.name == name {
      let results = check.run()
      #expect(!results.isEmpty || name.contains("nothing"))
      for result in results { #expect(result.passed, "\(result)") }
    }
  }
}
