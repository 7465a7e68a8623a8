import Dispatch
import Foundation
import Synchronization

/// The user pressed Ctrl-C and everything worth keeping is saved: exit code 130.
struct Interrupted: Error {}

/// SIGINT and SIGTERM.
enum Interrupt {
  private static let wanted = Atomic<Bool>(false)
  private static let sources = Mutex<[any DispatchSourceSignal]>([])

  /// Whether a signal has come since `catchSignal`.
  static var isWanted: Bool { wanted.load(ordering: .relaxed) }

  /// A signal ends the process at once with code 130: nothing is half done that would need an end.
  static func endProcessOnSignal() {
    watch { _exit(130) }
  }

  /// The first signal sets `isWanted`, so that the work can end well; the second ends the process at once.
  static func catchSignal(_ first: @escaping @Sendable () -> Void) {
    watch {
      if wanted.exchange(true, ordering: .relaxed) { _exit(130) }
      first()
    }
  }

  private static func watch(_ action: @escaping @Sendable () -> Void) {
    sources.withLock { sources in
      sources.forEach { $0.cancel() }
      sources = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
        source.setEventHandler(handler: action)
        source.resume()
        return source
      }
    }
  }
}
