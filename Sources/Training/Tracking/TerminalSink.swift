#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Shows a run on stderr: on a terminal one live line that is rewritten, elsewhere a plain line now and then. Colour only on a terminal
/// without `NO_COLOR`. Warnings are shown even when quiet.
public final class TerminalSink: EventSink {
  /// `terminal`.
  public let name = "terminal"
  private let quiet: Bool
  private let live: Bool
  private let color: Bool
  private let interval: Duration
  private let write: (String) -> Void
  private let clock = ContinuousClock()
  private var firstStepEnded: ContinuousClock.Instant?
  private var lastShown: ContinuousClock.Instant?
  private var firstStep: Int?
  private var lineIsOpen = false
  private var lastEvaluation: Double?

  /// - Parameters:
  ///   - quiet: shows warnings only.
  ///   - interactive: whether stderr is a terminal; found out where nil.
  ///   - write: takes the text; stderr by default.
  public init(quiet: Bool = false, interactive: Bool? = nil, write: ((String) -> Void)? = nil) {
    self.quiet = quiet
    live = interactive ?? (isatty(2) == 1)
    color = live && getenv("NO_COLOR") == nil
    interval = live ? .milliseconds(100) : .seconds(10)
    self.write = write ?? TerminalSink.stderr
  }

  private static func stderr(_ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { posixWrite(2, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      done += count
    }
  }

  /// Shows the event.
  public func receive(_ event: Event) {
    if case .warning(let text) = event { return line(paint("warning: ", "33") + text) }
    if quiet { return }
    switch event {
    case .note(let heading, let text): line(paint(heading.padded(to: 8), "1") + text)
    case .step(let metrics): show(metrics)
    case .evaluation(let metrics):
      lastEvaluation = metrics.loss
      if !live { line("step \(metrics.step)  eval loss \(Text.fixed(metrics.loss, 4))") }
    case .checkpoint(_, let path): if !live { line("saved   \(path)") }
    case .ended(let outcome, let step, let path): end(outcome, step, path)
    // A result: whoever owns stdout prints it.
    case .exported, .warning: break
    }
  }

  private func show(_ metrics: StepMetrics) {
    let now = clock.now
    if firstStep == nil { (firstStep, firstStepEnded) = (metrics.step, now) }
    let isLast = metrics.step == metrics.totalSteps
    if let lastShown, !isLast, now - lastShown < interval { return }
    lastShown = now
    let text = progress(metrics, elapsed: now - (firstStepEnded ?? now))
    if live {
      write("\r" + text + "\u{1B}[K")
      lineIsOpen = true
    } else {
      line(text)
    }
  }

  /// `412/1,624  25%  loss 1.083  lr 1.9e-4  gnorm 0.41  18.2k tok/s  6.0 GB  ETA 11m20s`.
  private func progress(_ metrics: StepMetrics, elapsed: Duration) -> String {
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    // The first step is slower than the others, so the estimate starts with the second.
    let done = metrics.step - (firstStep ?? metrics.step)
    let remaining = seconds / Double(max(1, done)) * Double(max(0, metrics.totalSteps - metrics.step))
    var parts = [
      "\(Text.grouped(metrics.step))/\(Text.grouped(metrics.totalSteps))",
      "\(100 * metrics.step / max(1, metrics.totalSteps))%",
      paint("loss \(Text.fixed(metrics.loss, 4))", "32"),
      "lr \(Text.scientific(metrics.learningRate))",
      "gnorm \(Text.fixed(metrics.gradientNorm, 2))",
      "\(Text.short(metrics.tokensPerSecond)) tok/s",
      Text.bytes(metrics.peakMemoryBytes),
    ]
    if done > 0 { parts.append("ETA \(Text.duration(remaining))") }
    if let lastEvaluation, live { parts.append("eval \(Text.fixed(lastEvaluation, 4))") }
    if metrics.skipped { parts.append("skipped") }
    return parts.joined(separator: "  ")
  }

  private func end(_ outcome: Outcome, _ step: Int, _ path: String) {
    switch outcome {
    case .finished: line(paint("done    ", "1") + "\(Text.grouped(step)) steps  \(path)")
    case .interrupted: line(paint("stopped ", "1") + "after step \(Text.grouped(step)); go on with --resume \(path)")
    case .failed: line(paint("failed  ", "1") + "after step \(Text.grouped(step))")
    }
  }

  /// A whole line, under the live line where one is open.
  private func line(_ text: String) {
    write((lineIsOpen ? "\n" : "") + text + "\n")
    lineIsOpen = false
  }

  private func paint(_ text: String, _ code: String) -> String { color ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}

/// `write(2)`, which a method of the same name would hide.
private func posixWrite(_ file: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(file, bytes, count) }

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
