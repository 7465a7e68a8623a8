import SwiftletCPU

/// Bytes that tensors look at; given back when the last tensor lets go.
///
/// `@unchecked Sendable`: the address never changes; whoever writes must hold the only reference or order the accesses itself.
public final class Storage: @unchecked Sendable {
  /// The first byte, aligned to 64 unless the bytes are a view of a file.
  public let pointer: UnsafeMutableRawPointer
  /// Size in bytes.
  public let byteCount: Int
  private let part: MemoryPart?
  private let owner: AnyObject?

  /// Allocates host memory, contents undefined, counted under `part`.
  public init(byteCount: Int, part: MemoryPart) {
    pointer = HostMemory.allocate(byteCount, part: part)
    self.byteCount = byteCount
    self.part = part
    owner = nil
  }

  /// A view of bytes that `owner` keeps alive, for example a mapped file. Such bytes are never written.
  public init(viewing pointer: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject) {
    self.pointer = pointer
    self.byteCount = byteCount
    part = nil
    self.owner = owner
  }

  /// No bytes at all.
  static let empty = Storage(byteCount: 0, part: .workspace)

  /// Whether the bytes belong to someone else and must not be written.
  public var isView: Bool { part == nil }

  deinit {
    if let part { HostMemory.free(pointer, bytes: byteCount, part: part) }
  }
}
