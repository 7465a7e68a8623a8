import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// SIGINT and SIGTERM as a wish to stop: the run finishes its step, writes a checkpoint and ends. A second signal ends the process at once
/// with exit code 130; checkpoints get their names only when complete, so the last one is untouched by that.
public enum Interruption {
  private static let signals = Atomic<Int>(0)

  /// Whether a signal has come, or `request` was called.
  public static var isRequested: Bool { signals.load(ordering: .relaxed) > 0 }

  /// Takes over the two signals.
  public static func install() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        if Interruption.signals.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
      }
    }
  }

  /// Forgets a request.
  public static func reset() { signals.store(0, ordering: .relaxed) }
}
