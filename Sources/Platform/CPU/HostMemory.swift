import CPlatform

/// What a piece of memory is for: the parts of the memory plan.
public enum MemoryPart: Int, CaseIterable, Sendable {
  case weights, adapter, gradients, optimizer, activations, cache, workspace
}

/// Host memory of the process, counted to the byte by part. Thread-safe.
///
/// Blocks of 128 KiB and more are kept for reuse when freed (`pooledBytes`); live and kept blocks together stay within 64 MiB of the
/// most that was ever in use.
public enum HostMemory {
  /// Allocates `bytes` aligned to 64, contents undefined. At least one byte is allocated. Traps where the system has no memory.
  public static func allocate(_ bytes: Int, part: MemoryPart) -> UnsafeMutableRawPointer {
    guard bytes >= 0, let pointer = swiftlet_memory_allocate(bytes, Int32(part.rawValue)) else {
      fatalError("out of memory: wanted \(bytes) bytes for \(part), \(liveBytes) are in use")
    }
    return pointer
  }

  /// Gives back what `allocate` gave, with the same size and part.
  public static func free(_ pointer: UnsafeMutableRawPointer, bytes: Int, part: MemoryPart) {
    swiftlet_memory_free(pointer, bytes, Int32(part.rawValue))
  }

  /// Live bytes of one part.
  public static func liveBytes(_ part: MemoryPart) -> Int { Int(swiftlet_memory_part(Int32(part.rawValue))) }
  /// Live bytes of all parts.
  public static var liveBytes: Int { Int(swiftlet_memory_counts().live) }
  /// The highest `liveBytes` since the start or the last `resetPeak`.
  public static var peakBytes: Int { Int(swiftlet_memory_counts().peak) }
  /// Bytes of freed blocks that wait to be used again.
  public static var pooledBytes: Int { Int(swiftlet_memory_counts().pooled) }
  /// Starts a new peak measurement at the present size.
  public static func resetPeak() { swiftlet_memory_reset_peak() }
  /// Returns the blocks that wait in the pool to the system.
  public static func trim() { swiftlet_memory_trim() }
}
