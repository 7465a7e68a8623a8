import Foundation
import SwiftletFormats
import SwiftletOptimizers
import TestSupport
import Testing

@Suite struct ScheduleTests {
  /// Every schedule of the fixture, every step, to the last digits of a double.
  @Test func equalsTransformers() throws {
    let file = Fixtures.root.appending(path: "optim/schedules.json")
    guard Fixtures.exists(file) else { return print("skipped: \(file.path) is not there") }
    let cases = try Fixtures.json(file).object ?? JSONObject()
    #expect(cases.count > 0)
    for (name, json) in cases {
      let schedule = try #require(parsed(name, json), "unknown schedule \(name)")
      let (total, peak) = (try #require(json["total"]?.int), try #require(json["base_lr"]?.double))
      for (step, wanted) in (json["lr_used_at_step"]?.array ?? []).enumerated() {
        let rate = schedule.rate(step: step, total: total, peak: peak)
        let want = try #require(wanted.double)
        #expect(abs(rate - want) <= 1e-12 * peak + 1e-18, "\(name) step \(step): \(rate), want \(want)")
      }
    }
  }

  private func parsed(_ name: String, _ json: JSON) -> Schedule? {
    let warmup = json["warmup"]?.double ?? 0
    let kwargs = json["kwargs"]?.object ?? JSONObject()
    func number(_ key: String, _ missing: Double) -> Double { kwargs[key]?.double ?? missing }
    let peak = json["base_lr"]?.double ?? 1
    let minimum = kwargs["min_lr_rate"]?.double ?? kwargs["min_lr"]?.double.map { $0 / peak } ?? 0
    if name.hasPrefix("warmup_stable_decay") {
      return .warmupStableDecay(
        warmup: warmup, decay: number("num_decay_steps", 0),
        warmupShape: RampShape(rawValue: kwargs["warmup_type"]?.string ?? "linear") ?? .linear,
        decayShape: RampShape(rawValue: kwargs["decay_type"]?.string ?? "linear") ?? .linear, minimum: number("min_lr_ratio", 0),
        cycles: number("num_cycles", 0.5))
    }
    if name.hasPrefix("cosine_with_restarts") { return .cosineWithRestarts(warmup: warmup, cycles: Int(number("num_cycles", 1))) }
    if name.hasPrefix("cosine") { return .cosine(warmup: warmup, cycles: number("num_cycles", 0.5), minimum: minimum) }
    if name.hasPrefix("constant_with_warmup") { return .constant(warmup: warmup) }
    if name.hasPrefix("constant") { return .constant() }
    if name.hasPrefix("linear") { return .linear(warmup: warmup) }
    if name.hasPrefix("polynomial") { return .polynomial(warmup: warmup, power: number("power", 1), end: number("lr_end", 1e-7)) }
    if name.hasPrefix("inverse_sqrt") { return .inverseSquareRoot(warmup: warmup, timescale: kwargs["timescale"]?.int) }
    return nil
  }

  @Test func fractionOfAllSteps() {
    #expect(Schedule.linear(warmup: 0.1).rate(step: 5, total: 100, peak: 1) == 0.5)
    #expect(Schedule.constant(warmup: 0.001).rate(step: 0, total: 100, peak: 1) == 0)
    #expect(Schedule.constant(warmup: 0.001).rate(step: 1, total: 100, peak: 1) == 1)
  }
}
