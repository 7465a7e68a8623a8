import SwiftletCPU

/// Finds the fastest of several ways to compute one product, among those that give the same bits: so the choice, which depends on a clock,
/// changes no result.
struct BlasTrial {
  /// Where trials write.
  struct Target {
    let matrix: BlasMatrix
    /// From the first to the last element.
    let bytes: Int
  }

  /// About as many products as a trial of the eight ways that are asked for computes.
  static let calls = 36
  private let device: CUDADevice
  private let target: Target

  init(_ device: CUDADevice, _ target: Target) { (self.device, self.target) = (device, target) }

  /// The numbers of the ways that give the same bits as way 0, the fastest first. Waits for the GPU.
  /// - Parameters:
  ///   - run: computes the product as it is asked for into the target.
  ///   - residual: computes `target = alpha · product + beta · target`.
  func fastestFirst(
    _ count: Int, run: (Int) throws(CUDAError) -> Void, residual: (Int, _ alpha: Float, _ beta: Float) throws(CUDAError) -> Void
  ) throws(CUDAError) -> [Int] {
    if count < 2 { return [0] }
    // A sum in another order differs in the last bits of float32, which a result of 16 bits hides nearly always: so what is compared is the
    // rounded result less the sum, where those bits lead.
    func remainder(_ way: Int) throws(CUDAError) -> [UInt8] {
      try residual(0, 1, 0)
      try residual(way, -1, 1)
      return sample()
    }
    let wanted = try remainder(0)
    var ways = [0]
    for way in 1..<count {
      // What the library proposes and cannot do is no error.
      guard let found = try? remainder(way) else { continue }
      if found == wanted { ways.append(way) }
    }
    if ways.count < 2 { return ways }
    var times = [Float](repeating: .infinity, count: count)
    for way in ways { times[way] = try time(way, calls: 1, run) }
    func sorted() -> [Int] { ways.sorted { (times[$0], $0) < (times[$1], $1) } }
    let best = sorted().prefix(3)
    for way in best { times[way] = .infinity }
    // In turn, so that a change of the clock's rate meets all of them.
    for _ in 0..<2 { for way in best { times[way] = try min(times[way], time(way, calls: 2, run)) } }
    for way in ways where !best.contains(way) { times[way] = .infinity }
    return sorted()
  }

  /// Milliseconds of a call.
  private func time(_ way: Int, calls: Int, _ run: (Int) throws(CUDAError) -> Void) throws(CUDAError) -> Float {
    let (start, end) = (CUDAEvent(on: device), CUDAEvent(on: device))
    device.stream.record(start)
    for _ in 0..<calls { try run(way) }
    device.stream.record(end)
    return end.elapsed(since: start) / Float(calls)
  }

  /// Bytes from eight places of the result. Every tile of it is computed alike, so a way that adds in another order shows in all of them.
  private func sample() -> [UInt8] {
    let length = min(target.bytes, 1 << 16)
    return (0..<8).flatMap { part -> [UInt8] in
      var bytes = [UInt8](repeating: 0, count: length)
      let start = (target.bytes - length) / 7 * part / 16 * 16
      bytes.withUnsafeMutableBytes { bytes in
        guard let place = bytes.baseAddress else { return }
        device.copy(from: target.matrix.pointer + start, to: place, bytes: length)
      }
      return bytes
    }
  }
}
