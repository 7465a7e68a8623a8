import CPlatform
import Synchronization

/// cuDNN on one GPU, opened at the first use: graphs of operations on the device's stream.
public final class CUDADNN: @unchecked Sendable {
  unowned let device: CUDADevice
  private let opened: Result<UnsafeMutableRawPointer?, CUDAError>

  init(_ device: CUDADevice) {
    self.device = device
    opened = CUDADNN.open(device)
  }

  private static func open(_ device: CUDADevice) -> Result<UnsafeMutableRawPointer?, CUDAError> {
    var handle: UnsafeMutableRawPointer?
    do throws(CUDAError) {
      try CUDALibrary.cudnn.open()
      device.makeCurrent()
      try checkDNN(cudnnCreate(&handle), "start cuDNN")
      try checkDNN(cudnnSetStream(handle, device.stream.handle), "give cuDNN the GPU's stream")
      return .success(handle)
    } catch {
      return .failure(error)
    }
  }

  /// Why there is no cuDNN here; nil where there is.
  public var error: CUDAError? { if case .failure(let error) = opened { error } else { nil } }

  /// cuDNN's version, 91400 for 9.14.0; nil where it is missing.
  public static var version: Int? { CUDALibrary.cudnn.status.error == nil ? Int(cudnnGetVersion()) : nil }

  func library() throws(CUDAError) -> UnsafeMutableRawPointer? { try opened.get() }
}

/// A graph made ready to run.
public final class DNNPlan: @unchecked Sendable {
  /// Bytes of scratch memory that a run wants.
  public let workspace: Int
  private let dnn: CUDADNN
  private let plan: DNNDescriptor
  // The plan reads it.
  private let graph: DNNDescriptor

  init(_ dnn: CUDADNN, _ plan: DNNDescriptor, _ graph: DNNDescriptor, workspace: Int) {
    (self.dnn, self.plan, self.graph, self.workspace) = (dnn, plan, graph, workspace)
  }

  /// Queues the graph on the device's stream, nothing after an error there. An error is kept for the device's `check`. About 20 µs of the host.
  /// - Parameters:
  ///   - tensors: the memory of each tensor that has some.
  ///   - numbers: the value of each number.
  ///   - scratch: `workspace` bytes.
  public func run(_ tensors: [(DNNTensor, DevicePointer)], numbers: [(DNNTensor, Float)], scratch: DevicePointer, named name: StaticString)
  {
    let device = dnn.device
    if device.skipsWork { return device.skip(String(describing: name), on: nil) }
    device.makeCurrent()
    let values = numbers.map(\.1)
    do throws(CUDAError) {
      let pack = try DNNDescriptor(.variantPack)
      try pack.set(1000, integers: tensors.map(\.0.id) + numbers.map(\.0.id))
      let code = try values.withUnsafeBufferPointer { values throws(CUDAError) -> Int32 in
        let here = values.indices.map { index in UnsafeMutableRawPointer(mutating: values.baseAddress.map { $0 + index }) }
        try pack.set(1001, pointers: tensors.map { UnsafeMutableRawPointer(bitPattern: UInt($0.1.address)) } + here)
        try pack.set(1003, pointers: [UnsafeMutableRawPointer(bitPattern: UInt(scratch.address))])
        try pack.finish("give cuDNN a graph's memory")
        let mark = device.begin(String(describing: name), on: nil)
        defer { device.end(mark, on: nil) }
        return cudnnBackendExecute(try dnn.library(), plan.handle, pack.handle)
      }
      try checkDNN(code, "run \(name) by cuDNN")
    } catch {
      device.fail(error)
    }
  }
}
