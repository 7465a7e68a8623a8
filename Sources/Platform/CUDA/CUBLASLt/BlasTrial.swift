import SwiftletCPU

/// Large products that wait for their trial, and what trials may cost.
struct BlasCandidates {
  /// Operations under which a trial is not worth it: some 40 µs.
  static let smallest = 3e10
  private var known: Set<BlasShape> = []
  private var waiting: [(shape: BlasShape, beta: Float)] = []
  private var all = 0.0
  private var trials = 0.0

  /// Takes note of a product. A bias would hide what a trial compares.
  mutating func note(_ shape: BlasShape, _ beta: Float) {
    all += shape.flops
    if shape.bias == nil, shape.cStride == shape.dStride, known.insert(shape).inserted { waiting.append((shape, beta)) }
  }

  /// What is to be tried now. Where shapes never come back, as with rows of all lengths, trials must not cost more than they can bring: 1 % of
  /// all work beyond the first 4·10¹⁴ operations, half a second of an H200.
  mutating func take() -> [(shape: BlasShape, beta: Float)] {
    defer { waiting = [] }
    return waiting.filter { product in
      let cost = product.shape.flops * Double(BlasTrial.calls)
      guard trials + cost <= 4e14 + 0.01 * all else { return false }
      trials += cost
      return true
    }
  }
}

/// One product on random numbers, computed in several ways to find the fastest among those that give the same bits: so the choice, which
/// depends on a clock, changes no result.
final class BlasTrial {
  /// About as many products as a trial of eight ways computes.
  static let calls = 36
  let a, b, c: BlasMatrix
  private let device: CUDADevice
  private let memory: DevicePointer
  private let size: Int

  /// Takes memory and fills it; nil where there is none.
  init?(_ shape: BlasShape, _ device: CUDADevice) {
    let sizes = BlasTrial.sizes(shape)
    size = sizes.reduce(0, +)
    memory = device.allocate(size, part: .workspace)
    guard memory != .null else { return nil }
    self.device = device
    a = BlasMatrix(memory, shape.aType, stride: shape.aStride, transposed: shape.aTransposed)
    b = BlasMatrix(memory + sizes[0], shape.bType, stride: shape.bStride, transposed: shape.bTransposed)
    c = BlasMatrix(memory + sizes[0] + sizes[1], shape.cType, stride: shape.cStride)
    fill(a, sizes[0])
    fill(b, sizes[1])
    device.fill(c.pointer, byte: 0, bytes: sizes[2])
  }

  deinit { device.free(memory, bytes: size, part: .workspace) }

  /// Bytes of a trial.
  static func bytes(_ shape: BlasShape) -> Int { sizes(shape).reduce(0, +) }

  private static func sizes(_ shape: BlasShape) -> [Int] {
    func aligned(_ rows: Int, _ stride: Int, _ type: BlasType) -> Int { (rows * stride * type.size + 255) / 256 * 256 }
    return [
      aligned(shape.aTransposed ? shape.k : shape.m, shape.aStride, shape.aType),
      aligned(shape.bTransposed ? shape.n : shape.k, shape.bStride, shape.bType), aligned(shape.m, shape.cStride, shape.cType),
    ]
  }

  /// Numbers between −1 and 1 that repeat after a number of bytes that fits no row.
  private func fill(_ matrix: BlasMatrix, _ bytes: Int) {
    var word: UInt64 = 0x9E37_79B9_7F4A_7C15
    func number() -> Float {
      word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int32(truncatingIfNeeded: word >> 32)) * 0x1p-31
    }
    let period = min(bytes / matrix.type.size, 300_007)
    switch matrix.type {
    case .float32: repeated((0..<period).map { _ in number() }, in: matrix.pointer, bytes)
    case .float16: repeated((0..<period).map { _ in Float16(number()).bitPattern }, in: matrix.pointer, bytes)
    case .bfloat16: repeated((0..<period).map { _ in UInt16(truncatingIfNeeded: number().bitPattern >> 16) }, in: matrix.pointer, bytes)
    }
  }

  private func repeated<Number>(_ numbers: [Number], in target: DevicePointer, _ bytes: Int) {
    numbers.withUnsafeBytes { source in
      if let start = source.baseAddress { device.copy(from: start, to: target, bytes: source.count) }
    }
    var done = numbers.count * MemoryLayout<Number>.size
    while done < bytes {
      let more = min(done, bytes - done)
      device.copy(from: target, to: target + done, bytes: more)
      done += more
    }
  }

  /// The numbers of the ways that give the same bits as way 0, the fastest first. Waits for the GPU.
  /// - Parameters:
  ///   - beta: what it is timed with.
  ///   - multiply: queues `c = alpha · a·b + beta · c` in a way.
  func fastestFirst(
    _ count: Int, beta: Float, _ multiply: (_ way: Int, _ alpha: Float, _ beta: Float) throws(CUDAError) -> Void
  ) throws(CUDAError) -> [Int] {
    // A sum in another order differs in the last bits of float32, which a result of 16 bits hides nearly always: so what is compared is the
    // rounded result less the sum, where those bits lead.
    func remainder(_ way: Int) throws(CUDAError) -> [UInt8] {
      try multiply(0, 1, 0)
      try multiply(way, -1, 1)
      return sample()
    }
    if count < 2 { return [0] }
    let wanted = try remainder(0)
    var ways = [0]
    for way in 1..<count {
      // What the library proposes and cannot do is no error.
      guard let found = try? remainder(way) else { continue }
      if found == wanted { ways.append(way) }
    }
    if ways.count < 2 { return ways }
    var times = [Float](repeating: .infinity, count: count)
    func time(_ way: Int, calls: Int) throws(CUDAError) -> Float {
      let (start, end) = (CUDAEvent(on: device), CUDAEvent(on: device))
      device.stream.record(start)
      for _ in 0..<calls { try multiply(way, 1, beta == 0 ? 0 : 1) }
      device.stream.record(end)
      return end.elapsed(since: start) / Float(calls)
    }
    func sorted() -> [Int] { ways.sorted { (times[$0], $0) < (times[$1], $1) } }
    for way in ways { times[way] = try time(way, calls: 1) }
    let best = sorted().prefix(3)
    for way in ways { times[way] = .infinity }
    // In turn, so that a change of the clock's rate meets all of them.
    for _ in 0..<2 { for way in best { times[way] = try min(times[way], time(way, calls: 2)) } }
    return sorted()
  }

  /// Bytes from sixteen places of the result.
  private func sample() -> [UInt8] {
    let bytes = size - Int(c.pointer.address - memory.address)
    let length = min(bytes, 1 << 16)
    return (0..<16).flatMap { part -> [UInt8] in
      var found = [UInt8](repeating: 0, count: length)
      let start = (bytes - length) / 15 * part / 16 * 16
      found.withUnsafeMutableBytes { found in
        if let place = found.baseAddress { device.copy(from: c.pointer + start, to: place, bytes: length) }
      }
      return found
    }
  }
}
