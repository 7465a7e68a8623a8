import CPlatform

/// Number formats of cuDNN; the values are those of cudnnDataType_t.
public enum DNNType: Int32, Hashable, Sendable {
  case float32 = 0
  case float16 = 2
  case int32 = 4
  case bfloat16 = 9
  case boolean = 11
}

/// Operations place by place; the values are those of cudnnPointwiseMode_t.
public enum DNNPointwise: Int32, Sendable {
  case multiply = 1
  case subtract = 9
  case exponential = 13
  case identity = 21
  case isAtLeast = 303
  case placeAlong = 501
  case select = 601
}

/// A tensor of a graph.
public struct DNNTensor: Sendable {
  /// The number by which `DNNPlan.run` finds its memory.
  public let id: Int
  let descriptor: DNNDescriptor
}

/// Operations that cuDNN is to do in one go, put together in order; then `plan()`.
public struct DNNGraph {
  private let dnn: CUDADNN
  private var operations: [DNNDescriptor] = []
  private var tensors = 0

  /// An empty graph.
  public init(_ dnn: CUDADNN) { self.dnn = dnn }

  /// Where a tensor's numbers are.
  public enum Place: Sendable {
    /// In memory that `run` gets.
    case memory
    /// Nowhere: between two operations.
    case inside
    /// One number that `run` gets.
    case number
  }

  /// A tensor of four axes; strides in elements.
  public mutating func tensor(
    _ sizes: [Int], strides: [Int], _ type: DNNType, _ place: Place = .memory
  ) throws(CUDAError) -> DNNTensor {
    tensors += 1
    let made = try DNNDescriptor(.tensor)
    try made.set(901, dataType: type)
    try made.set(902, integers: sizes)
    try made.set(903, integers: strides)
    try made.set(906, integers: [tensors])
    try made.set(900, integers: [16])
    if place == .inside { try made.set(907, flag: true) }
    if place == .number { try made.set(908, flag: true) }
    try made.finish("describe a tensor \(sizes) to cuDNN")
    return DNNTensor(id: tensors, descriptor: made)
  }

  /// One float32 number.
  public mutating func number() throws(CUDAError) -> DNNTensor { try tensor([1, 1, 1, 1], strides: [1, 1, 1, 1], .float32, .number) }

  /// `y = mode(x, b)`, with `select` `mask ? x : b`, with `placeAlong` the place of each number along `axis`.
  public mutating func pointwise(
    _ mode: DNNPointwise, _ x: DNNTensor, _ b: DNNTensor? = nil, mask: DNNTensor? = nil, axis: Int? = nil, into y: DNNTensor
  ) throws(CUDAError) {
    let what = try DNNDescriptor(.pointwise)
    try what.set(0, pointwise: mode)
    try what.set(1, dataType: mode == .isAtLeast ? .boolean : .float32)
    if let axis { try what.set(9, integers: [axis]) }
    try what.finish("describe \(mode) to cuDNN")
    let operation = try DNNDescriptor(.pointwiseOperation)
    try operation.set(750, what)
    try operation.set(751, x.descriptor)
    try operation.set(753, y.descriptor)
    try operation.set(754, float: 1)
    try operation.set(755, float: 1)
    if let b { try operation.set(752, b.descriptor) }
    if let mask { try operation.set(758, mask.descriptor) }
    try operation.finish("add \(mode) to cuDNN's graph")
    operations.append(operation)
  }

  /// `c = a·b` over the last two axes, sums in float32.
  public mutating func product(_ a: DNNTensor, _ b: DNNTensor, into c: DNNTensor) throws(CUDAError) {
    let what = try DNNDescriptor(.product)
    try what.set(1500, dataType: .float32)
    try what.set(1503, double: 0)
    try what.finish("describe a product to cuDNN")
    let operation = try DNNDescriptor(.productOperation)
    try operation.set(1520, a.descriptor)
    try operation.set(1521, b.descriptor)
    try operation.set(1522, c.descriptor)
    try operation.set(1523, what)
    try operation.finish("add a product to cuDNN's graph")
    operations.append(operation)
  }

  /// Sums in float32 over the axes in which `y` is shorter.
  public mutating func sum(_ x: DNNTensor, into y: DNNTensor) throws(CUDAError) {
    let what = try DNNDescriptor(.reduction)
    try what.set(1601, dataType: .float32)
    try what.set(1600, reduction: 0)
    try what.set(1602, flag: false)
    try what.finish("describe a sum to cuDNN")
    let operation = try DNNDescriptor(.reductionOperation)
    try operation.set(1612, what)
    try operation.set(1610, x.descriptor)
    try operation.set(1611, y.descriptor)
    try operation.finish("add a sum to cuDNN's graph")
    operations.append(operation)
  }

  /// The same numbers under other sizes or strides.
  public mutating func reshape(_ x: DNNTensor, into y: DNNTensor) throws(CUDAError) {
    let operation = try DNNDescriptor(.reshapeOperation)
    try operation.set(2200, x.descriptor)
    try operation.set(2201, y.descriptor)
    try operation.finish("add a reshape to cuDNN's graph")
    operations.append(operation)
  }

  /// The graph made ready by the library's first proposal that works. Costs up to a second.
  public func plan() throws(CUDAError) -> DNNPlan {
    let library = try dnn.library()
    let graph = try DNNDescriptor(.operationGraph)
    try graph.set(801, operations)
    try graph.set(800, library: library)
    try graph.finish("put cuDNN's graph together")
    let heuristics = try DNNDescriptor(.heuristics)
    try heuristics.set(201, graph)
    // CUDNN_HEUR_MODE_A: the library's own ranking.
    try heuristics.set(200, heuristicMode: 3)
    try heuristics.finish("ask cuDNN for ways to compute a graph")
    var proposals: [DNNDescriptor] = []
    for _ in 0..<8 { proposals.append(try DNNDescriptor(.engineConfiguration)) }
    var refusal = CUDAError(wanted: "compute a graph by cuDNN", found: "it knows no way")
    for proposal in try heuristics.list(202, into: proposals) {
      do throws(CUDAError) {
        let plan = try DNNDescriptor(.executionPlan)
        try plan.set(401, proposal)
        try plan.set(400, library: library)
        try plan.finish("plan a graph of cuDNN")
        return DNNPlan(dnn, plan, graph, workspace: try plan.integer(402))
      } catch {
        refusal = error
      }
    }
    throw refusal
  }
}
