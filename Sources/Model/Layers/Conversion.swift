import SwiftletCPU
import SwiftletOps
import SwiftletTensorCore

extension Tensor {
  /// The elements rounded to `dtype` (nearest, ties to even) in new memory, off tape. Only between float formats.
  public func converted(to dtype: DType, part: MemoryPart = .weights) -> Tensor {
    if dtype == self.dtype { return copied(part: part) }
    let result = Tensor(uninitialized: shape, dtype, part: part)
    result.assign(from: self)
    return result
  }

  /// Overwrites the elements with those of `source`, converted from its format to this one.
  /// - Precondition: as many elements; both formats are floating point.
  package func assign(from source: Tensor) {
    precondition(source.count == count, "assignment of shape \(source.shape) to shape \(shape)")
    precondition(dtype.isFloat && source.dtype.isFloat, "assignment of \(source.dtype) to \(dtype)")
    switch (source.dtype, dtype) {
    case (.float32, .float32): convert(source, Float.self, Float.self) { $0 }
    case (.bfloat16, .float32): convert(source, BFloat16.self, Float.self) { $0.float }
    case (.float16, .float32): convert(source, Float16.self, Float.self) { Float($0) }
    case (.float32, .bfloat16): convert(source, Float.self, BFloat16.self) { BFloat16($0) }
    case (.float16, .bfloat16): convert(source, Float16.self, BFloat16.self) { BFloat16(Float($0)) }
    case (.float32, .float16): convert(source, Float.self, Float16.self) { Float16($0) }
    case (.bfloat16, .float16): convert(source, BFloat16.self, Float16.self) { Float16($0.float) }
    default: convert(source, UInt16Pattern.self, UInt16Pattern.self) { $0 }
    }
  }

  private func convert<From: BitwiseCopyable, To: BitwiseCopyable>(
    _ source: Tensor, _: From.Type, _: To.Type, _ body: @Sendable (From) -> To
  ) {
    let from = (source.storage.pointer + source.byteOffset).assumingMemoryBound(to: From.self)
    let into = (storage.pointer + byteOffset).assumingMemoryBound(to: To.self)
    forElements(count) { range in for i in range { into[i] = body(from[i]) } }
  }
}

/// Equal 16-bit formats are copied as bits.
private typealias UInt16Pattern = UInt16
