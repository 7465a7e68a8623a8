/// Takes the events of a run and shows or keeps them.
public protocol EventSink: AnyObject {
  /// What a warning calls the sink.
  var name: String { get }
  /// Takes one event. An error is reported once and never reaches the training loop.
  func receive(_ event: Event) throws
}

/// Hands the events of one training run to its sinks. A sink that fails is named in one warning and stays connected: it may work again
/// (a disk with room once more), and the training goes on in any case.
public final class Run {
  private var sinks: [any EventSink]
  private var complained: Set<ObjectIdentifier> = []

  /// A run with sinks, which get the events in this order.
  public init(_ sinks: [any EventSink] = []) { self.sinks = sinks }

  /// Adds a sink for the events to come.
  public func add(_ sink: any EventSink) { sinks.append(sink) }

  /// Hands an event to every sink.
  public func send(_ event: Event) {
    var failures: [String] = []
    for sink in sinks {
      do {
        try sink.receive(event)
      } catch {
        if complained.insert(ObjectIdentifier(sink)).inserted { failures.append("\(sink.name): \(error); training goes on without it") }
      }
    }
    for failure in failures { send(.warning(failure)) }
  }

  /// Shorthand for a warning.
  public func warn(_ text: String) { send(.warning(text)) }
}

/// A sink that hands each event to a closure: for tests and for embedding.
public final class ClosureSink: EventSink {
  /// `closure`.
  public let name = "closure"
  private let body: (Event) throws -> Void
  /// Calls `body` with every event.
  public init(_ body: @escaping (Event) throws -> Void) { self.body = body }
  /// Calls the closure.
  public func receive(_ event: Event) throws { try body(event) }
}
