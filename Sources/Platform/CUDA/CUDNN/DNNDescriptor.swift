import CPlatform

/// A descriptor of cuDNN's graph interface: a kind, numbered attributes, finished once.
///
/// Numbers of kinds, attributes and types are those of `cudnn_graph.h`, the same since cuDNN 9.0; no header is needed.
final class DNNDescriptor: @unchecked Sendable {
  /// What a descriptor is.
  enum Kind: Int32 {
    case pointwise = 0
    case engineConfiguration = 3
    case heuristics = 4
    case executionPlan = 5
    case pointwiseOperation = 13
    case operationGraph = 15
    case variantPack = 16
    case tensor = 17
    case product = 18
    case productOperation = 19
    case reduction = 21
    case reductionOperation = 22
    case reshapeOperation = 31
  }

  /// What values are, as the library counts them.
  private enum Values: Int32 {
    case handle = 0
    case dataType = 1
    case boolean = 2
    case int64 = 3
    case float = 4
    case double = 5
    case pointer = 6
    case heuristicMode = 8
    case pointwiseMode = 14
    case descriptor = 15
    case reduction = 18
  }

  private(set) var handle: UnsafeMutableRawPointer?
  // What this one refers to must live as long.
  private var parts: [DNNDescriptor] = []

  init(_ kind: Kind) throws(CUDAError) {
    try checkDNN(cudnnBackendCreateDescriptor(kind.rawValue, &handle), "make a descriptor of cuDNN (\(kind))")
  }

  deinit { if let handle { _ = cudnnBackendDestroyDescriptor(handle) } }

  private func set<Value>(_ attribute: Int32, _ type: Values, _ values: [Value]) throws(CUDAError) {
    let code = values.withUnsafeBufferPointer {
      cudnnBackendSetAttribute(handle, attribute, type.rawValue, Int64($0.count), UnsafeRawPointer($0.baseAddress))
    }
    try checkDNN(code, "set attribute \(attribute) of cuDNN's graph")
  }

  func set(_ attribute: Int32, integers values: [Int]) throws(CUDAError) { try set(attribute, .int64, values.map(Int64.init)) }
  func set(_ attribute: Int32, flag value: Bool) throws(CUDAError) { try set(attribute, .boolean, [value]) }
  func set(_ attribute: Int32, float value: Float) throws(CUDAError) { try set(attribute, .float, [value]) }
  func set(_ attribute: Int32, double value: Double) throws(CUDAError) { try set(attribute, .double, [value]) }
  func set(_ attribute: Int32, dataType value: DNNType) throws(CUDAError) { try set(attribute, .dataType, [value.rawValue]) }
  func set(_ attribute: Int32, pointwise value: DNNPointwise) throws(CUDAError) { try set(attribute, .pointwiseMode, [value.rawValue]) }
  func set(_ attribute: Int32, reduction value: Int32) throws(CUDAError) { try set(attribute, .reduction, [value]) }
  func set(_ attribute: Int32, heuristicMode value: Int32) throws(CUDAError) { try set(attribute, .heuristicMode, [value]) }
  func set(_ attribute: Int32, library value: UnsafeMutableRawPointer?) throws(CUDAError) { try set(attribute, .handle, [value]) }
  func set(_ attribute: Int32, pointers values: [UnsafeMutableRawPointer?]) throws(CUDAError) { try set(attribute, .pointer, values) }

  func set(_ attribute: Int32, _ values: DNNDescriptor...) throws(CUDAError) { try set(attribute, values) }
  func set(_ attribute: Int32, _ values: [DNNDescriptor]) throws(CUDAError) {
    try set(attribute, .descriptor, values.map(\.handle))
    parts += values
  }

  /// An integer attribute of a finished descriptor.
  func integer(_ attribute: Int32) throws(CUDAError) -> Int {
    var (value, found): (Int64, Int64) = (0, 0)
    try checkDNN(
      cudnnBackendGetAttribute(handle, attribute, Values.int64.rawValue, 1, &found, &value), "read attribute \(attribute) of cuDNN's graph")
    return Int(value)
  }

  /// Fills `into`, whose kinds fit, with what the attribute lists; returns those that were filled.
  func list(_ attribute: Int32, into: [DNNDescriptor]) throws(CUDAError) -> [DNNDescriptor] {
    var handles = into.map(\.handle)
    var found: Int64 = 0
    let code = cudnnBackendGetAttribute(handle, attribute, Values.descriptor.rawValue, Int64(handles.count), &found, &handles)
    try checkDNN(code, "read attribute \(attribute) of cuDNN's graph")
    return Array(into.prefix(Int(found)))
  }

  func finish(_ wanted: @autoclosure () -> String) throws(CUDAError) { try checkDNN(cudnnBackendFinalize(handle), wanted()) }
}

/// Throws a status code of cuDNN that is not success.
func checkDNN(_ code: Int32, _ wanted: @autoclosure () -> String) throws(CUDAError) {
  if code == 0 { return }
  let text = cudnnGetErrorString(code).map { String(cString: $0) } ?? "unknown"
  throw CUDAError(wanted: wanted(), found: "\(text) (\(code))")
}
