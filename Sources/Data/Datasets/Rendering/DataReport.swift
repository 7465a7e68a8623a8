/// What is known of a data set after every row was rendered once, before anything is trained.
public struct DataReport: Hashable, Sendable, Codable {
  /// Rows that were rendered.
  public var rows = 0
  /// Rows left out as malformed or refused by the template.
  public var skippedRows = 0
  /// Tokens of all rows, after cutting.
  public var tokens = 0
  /// Tokens that the loss counts.
  public var trainedTokens = 0
  /// Tokens of the longest row, before cutting.
  public var longest = 0
  /// Where the longest row stands: file and line.
  public var longestRow = ""
  /// Rows longer than the context, whose end was cut off (or goes on in another pack).
  public var cutRows = 0
  /// Rows with labels of which none was left after cutting. Left out.
  public var rowsCutToNothing = 0
  /// Rows without any token to train on. Left out.
  public var untrainedRows = 0
  /// The assistant's turns.
  public var answers = 0
  /// Those of them that do not end in a stop token.
  public var answersWithoutStop = 0
  /// Rows with such a turn.
  public var rowsWithoutStop = 0
  /// Special tokens that the template writes and the tokenizer does not know as one token each.
  public var unknownMarkers: [String] = []
  /// The first row rendered, tokenized and masked.
  public var sample = ""

  /// An empty report.
  public init() {}

  mutating func add(_ row: TokenizedRow, _ facts: RowFacts, place: () -> String) {
    rows += 1
    tokens += row.ids.count
    let trained = row.trainedTokens
    trainedTokens += trained
    if facts.fullCount > longest { (longest, longestRow) = (facts.fullCount, place()) }
    if facts.fullCount > row.ids.count { cutRows += 1 }
    if facts.fullTrained == 0 { untrainedRows += 1 } else if trained == 0 { rowsCutToNothing += 1 }
    answers += facts.answers
    answersWithoutStop += facts.answersWithoutStop
    if facts.answersWithoutStop > 0 { rowsWithoutStop += 1 }
  }

  /// What makes training pointless: all of it masked, answers that never stop, a template for another tokenizer.
  public var errors: [String] {
    var errors: [String] = []
    if !unknownMarkers.isEmpty {
      errors.append(
        "the template and the tokenizer do not belong together: the template writes \(unknownMarkers.joined(separator: " ")), "
          + "which the tokenizer knows only as plain text\n  fix: take tokenizer and template from the same model")
    }
    if rows > 0, trainedTokens == 0 {
      errors.append(
        "nothing to train on: none of \(rows) rows has a token with a label (\(untrainedRows) without answers, "
          + "\(rowsCutToNothing) whose answers were cut off)\n  fix: check data.layout and trainOn, or raise model.contextLength")
    }
    if answers > 0, answersWithoutStop * 2 >= answers {
      errors.append(
        "\(answersWithoutStop) of \(answers) answers do not end in a stop token, so the model would never learn to stop\n"
          + "  fix: check that the chat template ends each assistant turn with a token of the tokenizer or generation_config.json")
    }
    return errors
  }

  /// What is worth knowing.
  public var warnings: [String] {
    var warnings: [String] = []
    if skippedRows > 0 { warnings.append("\(skippedRows) bad rows were left out") }
    if cutRows > 0 {
      warnings.append("\(cutRows) of \(rows) rows are longer than the context; the longest has \(longest) tokens (\(longestRow))")
    }
    if rowsCutToNothing > 0 { warnings.append("\(rowsCutToNothing) of \(rows) rows lost all their answers by cutting and are left out") }
    if untrainedRows > 0 { warnings.append("\(untrainedRows) of \(rows) rows have no token to train on and are left out") }
    if rowsWithoutStop > 0 { warnings.append("\(rowsWithoutStop) of \(rows) rows have an answer that does not end in a stop token") }
    return warnings
  }

  /// Throws what `errors` says, with the sample.
  public func check() throws(DatasetError) {
    guard !errors.isEmpty else { return }
    throw DatasetError(errors.joined(separator: "\n") + (sample.isEmpty ? "" : "\n\(sample)"))
  }

  /// Two lines for a log.
  public var summary: String {
    let share = tokens == 0 ? 0 : Int((100 * Double(trainedTokens) / Double(tokens)).rounded())
    return "\(rows) rows, \(skippedRows) bad, longest \(longest) tokens (\(longestRow))\n"
      + "\(trainedTokens) of \(tokens) tokens trained (\(share) %), \(answers - answersWithoutStop) of \(answers) answers end in a stop token"
  }
}
