/// One JSON object a line on stdout (`--json`).
public final class JSONEventSink: EventSink {
  /// `json events`.
  public let name = "json events"
  private let write: (String) throws -> Void
  /// - Parameter write: takes whole lines with their newline.
  public init(write: @escaping (String) throws -> Void) { self.write = write }
  /// Writes the event.
  public func receive(_ event: Event) throws { try write(event.json.serialized() + "\n") }
}
