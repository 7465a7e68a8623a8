import SwiftletTensorCore
import Testing

@Suite struct TensorTests {
  @Test func rowsAreViews() {
    let x = Tensor((0..<6).map(Float.init), [3, 2])
    #expect(x.rows(1..<3).array(Float.self) == [2, 3, 4, 5])
    #expect(x.rows(1..<1).array(Float.self) == [])
    #expect(x.reshaped([2, 3]).shape == [2, 3])
  }

  @Test func onlySoleOwnersMayOverwrite() {
    #expect(owned { Tensor([Float(1)], [1]) })
    let kept = Tensor([Float(1)], [1])
    #expect(!owned { kept })
    #expect(kept.array(Float.self) == [1])
    #expect(!owned { Tensor(zeros: [4]).rows(0..<2) })
  }

  /// Asks in a frame of its own: where a copy begins and ends within one is the optimizer's choice.
  @inline(never) private func owned(_ make: () -> Tensor) -> Bool {
    var x = make()
    return x.isUniquelyOwned()
  }

  @Test func bfloat16RoundsToNearestEven() {
    for (value, bits) in [(Float(1), 0x3F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (-2, 0xC000), (.infinity, 0x7F80)] {
      #expect(BFloat16(value).bits == UInt16(bits), "\(value)")
    }
    #expect(BFloat16(.nan).float.isNaN)
  }

  @Test func philoxEqualsItsPublishedVectors() {
    // Random123's known answers for philox4x32-10.
    let zero = Random(seed: 0).block(0)
    #expect([zero.0, zero.1, zero.2, zero.3] == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
    let ones = Random(seed: .max, stream: .max).block(.max)
    #expect([ones.0, ones.1, ones.2, ones.3] == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
  }

  @Test func streamsDiffer() {
    let random = Random(seed: 1)
    #expect(Set((0..<100).map { random.split($0) }).count == 100)
    #expect((0..<1000).allSatisfy { (0..<1).contains(random.uniform(UInt64($0))) })
  }
}
