import ArgumentParser
import Foundation
import SwiftletFormats

/// Writes everything that Nestling is made of, and grades the quickstart.
@main
struct NestlingGenerator: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nestling-generator", abstract: "Writes Nestling's training text, tokenizer and task; grades answers.",
    subcommands: [Corpus.self, TokenizerFile.self, Orders.self, Grade.self])
}

private func write(_ text: String, to path: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

/// One conversation of the base's training text.
private func conversation(_ dice: inout Dice) -> Conversation {
  func one() -> Conversation {
    switch dice.roll(1...10) {
    case 1...3: Arithmetic.conversation(&dice)
    case 4: Facts.conversation(&dice)
    case 5...7: Talk.conversation(&dice)
    default: Shop.conversation(&dice)
    }
  }
  let first = one()
  return dice.oneIn(3) ? first + one() : first
}

struct Corpus: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Writes conversations as JSON lines of layout chat.")
  @Option(help: "How many conversations.") var rows = 400_000
  @Option(help: "Seed of the text.") var seed: UInt64 = 1
  @Argument(help: "The file to write.") var output: String

  func run() throws {
    var dice = Dice(seed: seed)
    try write((0..<rows).map { _ in conversation(&dice).row + "\n" }.joined(), to: output)
  }
}

struct TokenizerFile: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "tokenizer", abstract: "Learns tokenizer.json from fresh text.")
  @Option(help: "Entries of the vocabulary.") var size = 1024
  @Option(help: "How many conversations to learn from.") var rows = 40_000
  @Argument(help: "The file to write.") var output: String

  func run() throws {
    var dice = Dice(seed: 2)
    var trainer = BytePairTrainer()
    for _ in 0..<rows { for turn in conversation(&dice).turns { trainer.add(turn.content) } }
    try write(
      trainer.train(size: size, special: ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]).serialized(indent: 1),
      to: output)
  }
}

struct Orders: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Writes the quickstart's task: train.jsonl and test.jsonl, no request in both.")
  @Option(help: "Rows to train on.") var train = 4000
  @Option(help: "Rows held out.") var test = 100
  @Argument(help: "The folder to write to.") var folder: String

  func run() throws {
    var dice = Dice(seed: 3)
    var seen = Set<String>()
    var rows: [String] = []
    while rows.count < train + test {
      let (request, ticket) = Shop.ticket(&dice)
      guard seen.insert(request).inserted else { continue }
      rows.append(JSON.object(JSONObject([("instruction", .string(request)), ("output", .string(ticket))])).serialized() + "\n")
    }
    try write(rows.prefix(train).joined(), to: folder + "/train.jsonl")
    try write(rows.suffix(test).joined(), to: folder + "/test.jsonl")
  }
}

struct Grade: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Compares answers (what `swiftlet generate --json` printed) with the outputs of rows; prints samples and the share of exact ones.",
    discussion: "With --prompts it writes the rows as prompts for `swiftlet generate --input` instead.")
  @Option(help: "Rows {instruction, output}.") var rows: String
  @Option(help: "Write {messages} rows here and stop.") var prompts: String?
  @Option(help: "Answers as JSON lines.") var answers: String?
  @Option(help: "How many samples to show.") var samples = 3
  @Option(help: "Fail unless the share of exact answers, in per cent, lies in MIN-MAX.") var expect: String?

  func run() throws {
    let rows = try lines(self.rows)
    if let prompts { return try write(rows.map { promptRow($0) + "\n" }.joined(), to: prompts) }
    guard let answers else { throw ValidationError("one of --prompts and --answers is needed") }
    let given = Dictionary(try lines(answers).compactMap { row in row["index"]?.int.map { ($0, row["text"]?.string ?? "") } }) { $1 }
    var exact = 0
    for (index, row) in rows.enumerated() {
      let (wanted, answer) = (row["output"]?.string ?? "", (given[index] ?? "").trimmingCharacters(in: .whitespacesAndNewlines))
      if wanted == answer { exact += 1 }
      if index < samples {
        print("  asked    \(row["instruction"]?.string ?? "")\n  wanted   \(wanted)\n  answered \(answer)\n")
      }
    }
    let share = rows.isEmpty ? 0 : 100 * Double(exact) / Double(rows.count)
    print("  \(exact) of \(rows.count) held-out answers exact: \(String(format: "%.0f", share)) %")
    try check(share)
  }

  private func check(_ share: Double) throws {
    guard let bounds = expect?.split(separator: "-").compactMap({ Double($0) }) else { return }
    guard bounds.count == 2 else { throw ValidationError("--expect wants MIN-MAX") }
    guard (bounds[0]...max(bounds[0], bounds[1])).contains(share) else {
      throw ValidationError("accuracy \(share) % is outside \(expect ?? "")")
    }
  }

  private func promptRow(_ row: JSON) -> String {
    let message = JSONObject([("role", .string("user")), ("content", row["instruction"] ?? .string(""))])
    return JSON.object(JSONObject([("messages", .array([.object(message)]))])).serialized()
  }

  private func lines(_ path: String) throws -> [JSON] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSON(parsing: String($0)) }
  }
}
