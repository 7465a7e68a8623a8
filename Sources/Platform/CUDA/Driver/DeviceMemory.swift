import SwiftletCPU
import Synchronization

/// The count of a GPU's memory in use by this program, to the byte and by part. Thread-safe.
public final class DeviceMemory: Sendable {
  private struct State {
    var live = 0
    var peak = 0
    var parts = [Int](repeating: 0, count: MemoryPart.allCases.count)
    var peakParts = [Int](repeating: 0, count: MemoryPart.allCases.count)
    var cap = Int.max
    var nextAddress: UInt64 = 1 << 40
  }

  private let state = Mutex(State())

  package init() {}

  /// Bytes in use.
  public var liveBytes: Int { state.withLock { $0.live } }
  /// Bytes in use by one part.
  public func liveBytes(_ part: MemoryPart) -> Int { state.withLock { $0.parts[part.rawValue] } }
  /// The highest `liveBytes` since the start or the last `resetPeak`.
  public var peakBytes: Int { state.withLock { $0.peak } }
  /// What each part had in use at the moment of the peak.
  public var peakParts: [MemoryPart: Int] {
    let parts = state.withLock { $0.peakParts }
    return Dictionary(uniqueKeysWithValues: MemoryPart.allCases.map { ($0, parts[$0.rawValue]) })
  }
  /// The most that may be in use: allocations beyond it fail as if the device were full. nil: the device's own limit.
  public var cap: Int? {
    get { state.withLock { $0.cap == .max ? nil : $0.cap } }
    set { state.withLock { $0.cap = newValue ?? .max } }
  }
  /// Starts a new peak measurement at the present size.
  public func resetPeak() {
    state.withLock { state in
      state.peak = state.live
      copyParts(&state)
    }
  }

  /// An address that no allocation has: of memory on a simulated GPU.
  func nextSimulatedAddress(_ bytes: Int) -> UInt64 {
    state.withLock { state in
      defer { state.nextAddress += UInt64(bytes + 511) / 256 * 256 }
      return state.nextAddress
    }
  }

  /// Counts an allocation; false where the cap forbids it.
  package func add(_ bytes: Int, _ part: MemoryPart) -> Bool {
    state.withLock { state in
      if bytes > state.cap - state.live { return false }
      state.live += bytes
      state.parts[part.rawValue] += bytes
      if state.live > state.peak {
        state.peak = state.live
        copyParts(&state)
      }
      return true
    }
  }

  package func subtract(_ bytes: Int, _ part: MemoryPart) {
    state.withLock { state in
      state.live -= bytes
      state.parts[part.rawValue] -= bytes
    }
  }

  // In place: assigning the array would share it, and the next change copy it on the heap.
  private func copyParts(_ state: inout sending State) {
    for i in state.parts.indices { state.peakParts[i] = state.parts[i] }
  }
}
