import CPlatform
import Synchronization

/// What a piece of memory is for: the parts of the memory plan.
public enum MemoryPart: Int, CaseIterable, Sendable {
  case weights, adapter, gradients, optimizer, activations, cache, workspace
}

/// Host memory of the process, counted to the byte by part.
///
/// Counts are those of live allocations; blocks that the pool keeps for reuse are in `pooledBytes`.
public enum HostMemory {
  private static let live = Counters()

  private final class Counters: Sendable {
    let bytes = Mutex<(parts: [Int], total: Int, peak: Int)>((Array(repeating: 0, count: MemoryPart.allCases.count), 0, 0))
  }

  /// Allocates `bytes` aligned to 64, contents undefined. At least one byte is allocated.
  public static func allocate(_ bytes: Int, part: MemoryPart) -> UnsafeMutableRawPointer {
    live.bytes.withLock {
      $0.parts[part.rawValue] += bytes
      $0.total += bytes
      $0.peak = max($0.peak, $0.total)
    }
    return UnsafeMutableRawPointer.allocate(byteCount: max(bytes, 1), alignment: 64)
  }

  /// Gives back what `allocate` gave, with the same size and part.
  public static func free(_ pointer: UnsafeMutableRawPointer, bytes: Int, part: MemoryPart) {
    live.bytes.withLock {
      $0.parts[part.rawValue] -= bytes
      $0.total -= bytes
    }
    pointer.deallocate()
  }

  /// Live bytes of one part.
  public static func liveBytes(_ part: MemoryPart) -> Int { live.bytes.withLock { $0.parts[part.rawValue] } }
  /// Live bytes of all parts.
  public static var liveBytes: Int { live.bytes.withLock { $0.total } }
  /// The highest `liveBytes` since the start or the last `resetPeak`.
  public static var peakBytes: Int { live.bytes.withLock { $0.peak } }
  /// Starts a new peak measurement at the present size.
  public static func resetPeak() { live.bytes.withLock { $0.peak = $0.total } }
}
