import Foundation
import Synchronization

/// SIGINT and SIGTERM.
enum Interrupt {
  private static let signals = Atomic<Int>(0)

  /// Whether a signal has come since `catchSignal`.
  static var isWanted: Bool { signals.load(ordering: .relaxed) > 0 }

  /// For commands that leave nothing half done: a signal ends the process at once with code 130.
  static func endProcessOnSignal() {
    unblock()
    for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(130) } }
  }

  /// For work that has to end well: the first signal sets `isWanted`, a second one ends the process at once.
  static func catchSignal() {
    unblock()
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in if Interrupt.signals.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) } }
    }
  }

  /// A program started from a thread that blocks signals (as those of Dispatch do) inherits the mask.
  private static func unblock() {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM] { sigaddset(&set, number) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }
}
