import SwiftletCPU

/// Large products that wait for their trial, and what trials may cost.
struct BlasCandidates {
  /// Operations under which a trial is not worth it: some 40 µs.
  static let smallest = 3e10
  private var known: Set<BlasShape> = []
  private var waiting: [(shape: BlasShape, beta: Float)] = []
  private var all = 0.0
  private var trials = 0.0

  /// Takes note of a product. One with a bias is left as it is: its plan holds the bias's address.
  mutating func note(_ shape: BlasShape, _ beta: Float) {
    all += shape.flops
    if shape.bias == nil, shape.cStride == shape.dStride, known.insert(shape).inserted { waiting.append((shape, beta)) }
  }

  /// What is to be tried now. Where shapes never come back, as with rows of all lengths, trials must not cost more than they can bring: 1 % of
  /// all work beyond the first 8·10¹⁴ operations, a second of an H200.
  mutating func take() -> [(shape: BlasShape, beta: Float)] {
    defer { waiting = [] }
    return waiting.filter { product in
      let cost = product.shape.flops * Double(BlasTrial.calls)
      guard trials + cost <= 8e14 + 0.01 * all else { return false }
      trials += cost
      return true
    }
  }
}

/// One product on random numbers, computed in several ways to find the fastest among those that give the same bits: so the choice, which
/// depends on a clock, changes no result.
final class BlasTrial {
  /// About as many products as a trial of eight ways costs, the comparison of results included.
  static let calls = 60
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

  /// Numbers of both signs and many magnitudes up to 1, so that sums are rounded at every step; they repeat after a number that fits no row.
  private func fill(_ matrix: BlasMatrix, _ bytes: Int) {
    var word: UInt64 = 0x9E37_79B9_7F4A_7C15
    func number() -> Float {
      word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let fraction = Float(Int32(truncatingIfNeeded: word >> 32)) * 0x1p-31
      return fraction * Float(sign: .plus, exponent: -Int(word >> 28 & 7), significand: 1)
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

  /// The number of the fastest way that gives the same bits as way 0. Waits for the GPU.
  /// - Parameters:
  ///   - beta: what it is timed with.
  ///   - multiply: queues `c = a·b + beta · c` in a way.
  func fastest(
    of count: Int, beta: Float, _ multiply: (_ way: Int, _ beta: Float) throws(CUDAError) -> Void
  ) throws(CUDAError) -> Int {
    var times = [Float](repeating: .infinity, count: count)
    func time(_ way: Int, calls: Int) throws(CUDAError) -> Float {
      let (start, end) = (CUDAEvent(on: device), CUDAEvent(on: device))
      device.stream.record(start)
      for _ in 0..<calls { try multiply(way, beta == 0 ? 0 : 1) }
      device.stream.record(end)
      return end.elapsed(since: start) / Float(calls)
    }
    // What the library proposes and cannot do is no error.
    for way in 0..<count where (try? multiply(way, 0)) != nil { times[way] = try time(way, calls: 1) }
    func sorted() -> [Int] { times.indices.filter { times[$0].isFinite }.sorted { (times[$0], $0) < (times[$1], $1) } }
    // In turn, so that a change of the clock's rate meets all of them.
    let best = Set(sorted().prefix(3) + [0])
    for way in best { times[way] = .infinity }
    for _ in 0..<2 { for way in best.sorted() { times[way] = try min(times[way], time(way, calls: 2)) } }
    for way in times.indices where !best.contains(way) { times[way] = .infinity }

    /// The whole result, written and then added to: ways differ in the order of the sum and in what is rounded before it is added. Of millions
    /// of elements another order changes hundreds, in places that no sample need meet.
    func checksum(_ way: Int) throws(CUDAError) -> [UInt32] {
      try multiply(way, 0)
      try multiply(way, 1)
      return checksums()
    }
    let faster = sorted().filter { times[$0] < 0.995 * times[0] }
    if faster.isEmpty { return 0 }
    let wanted = try checksum(0)
    for way in faster where try checksum(way) == wanted { return way }
    return 0
  }

  /// A checksum of each 16 MiB of the result.
  private func checksums() -> [UInt32] {
    let bytes = size - Int(c.pointer.address - memory.address)
    var piece = [UInt8](repeating: 0, count: min(bytes, 16 << 20))
    return stride(from: 0, to: bytes, by: piece.count).map { start in
      let length = min(piece.count, bytes - start)
      return piece.withUnsafeMutableBytes { piece in
        guard let place = piece.baseAddress else { return 0 }
        device.copy(from: c.pointer + start, to: place, bytes: length)
        return crc32c(UnsafeRawBufferPointer(rebasing: piece[..<length]))
      }
    }
  }
}
