import Foundation
import SwiftletDatasets
import SwiftletFormats
import Testing

@Suite struct RenderingTests {
  private let chat =
    #"{"messages":[{"role":"user","content":"ab"},{"role":"assistant","content":"cd"},{"role":"user","content":"e"},"#
    + #"{"role":"assistant","content":"f"}]}"#

  private func renderer(_ trainOn: TrainOn = .responses, context: Int = 100, template: ConversationTemplate? = turnTemplate())
    -> RowRenderer
  {
    RowRenderer(codec: scalarCodec(), template: template, trainOn: trainOn, contextLength: context)
  }

  private func data(_ folder: TemporaryFolder, _ rows: [String], _ layout: DataLayout = .chat, skip: Int = 0) throws -> Dataset {
    try Dataset(try folder.write("d.jsonl", rows.joined(separator: "\n")), DatasetOptions(layout: layout, skipBadRows: skip))
  }

  @Test func masks() {
    let offsets = [0..<0, 0..<2, 2..<3, 3..<3, 3..<4, 3..<4, 4..<6, 6..<8]
    let cases: [([Range<Int>], [Range<Int>])] = [
      ([0..<2], [1..<2]), ([2..<4], [2..<6]), ([3..<4], [4..<6]), ([1..<3], [1..<3]), ([5..<7], [6..<8]), ([0..<8], [1..<8]), ([3..<3], []),
      ([0..<1, 1..<3], [1..<2, 1..<3]), ([8..<9], []), ([0..<2, 6..<8], [1..<2, 7..<8]),
    ]
    for (spans, tokens) in cases { #expect(TokenMask.tokens(in: spans, offsets: offsets) == tokens, "\(spans)") }
  }

  @Test func answersAndTheirStopsAreTrained() throws {
    let folder = try TemporaryFolder()
    let rows = try data(folder, [chat])
    #expect(
      try renderer().preview(rows, rows: 0..<9).hasSuffix(
        "18 tokens, 5 trained\n<|user|>ab<|end|>\n<|bot|>⟦cd<|end|>⟧\n<|user|>e<|end|>\n<|bot|>⟦f<|end|>⟧\n"))
    let all = try renderer(.all).tokenize(try rows.example(0))
    #expect(all.labels == all.ids)
    let colour = renderer().preview(try renderer().tokenize(try rows.example(0)), marking: .colour)
    #expect(colour.contains("\u{1B}[32mcd<|end|>\u{1B}[0m"))
    #expect(message { try renderer(template: nil).tokenize(try rows.example(0)) }?.contains("no chat template") == true)
  }

  @Test func alpacaUsesTheTemplateOrThePrompt() throws {
    let folder = try TemporaryFolder()
    let rows = try data(folder, [#"{"instruction":"add","input":"1 2","output":"3"}"#, #"{"instruction":"hi","output":"yo"}"#], .alpaca)
    #expect(renderer().preview(try renderer().tokenize(try rows.example(0))) == "<|user|>add\n\n1 2<|end|>\n<|bot|>⟦3<|end|>⟧\n")
    let plain = RowRenderer(codec: scalarCodec(), template: nil, contextLength: 1000)
    let prompt = """
      Below is an instruction that describes a task, paired with an input that provides further context. \
      Write a response that appropriately completes the request.

      ### Instruction:
      add

      ### Input:
      1 2

      ### Response:
      ⟦3<|end|>⟧
      """
    #expect(plain.preview(try plain.tokenize(try rows.example(0))) == prompt)
    #expect(plain.preview(try plain.tokenize(try rows.example(1))).hasSuffix("### Instruction:\nhi\n\n### Response:\n⟦yo<|end|>⟧"))
  }

  @Test func textEndsOnceAndIsCut() throws {
    let folder = try TemporaryFolder()
    let rows = try data(folder, [#"{"text":"abc"}"#, #"{"text":"abc<|end|>"}"#], .text)
    for index in 0..<2 { #expect(renderer().preview(try renderer().tokenize(try rows.example(index))) == "⟦abc<|end|>⟧") }
    #expect(renderer().preview(try renderer(context: 2).tokenize(try rows.example(0))) == "⟦ab⟧")
  }

  @Test func reports() throws {
    let folder = try TemporaryFolder()
    let long = #"{"messages":[{"role":"user","content":"0123456789012345678901234567890123456789"},{"role":"assistant","content":"x"}]}"#
    let rows = try data(folder, [chat, long, chat])
    let set = try TokenizedDataset(rows, renderer(context: 20))
    #expect(set.count == 2 && set.lengths == [18, 18])
    let report = set.report
    #expect(report.rows == 3 && report.longest == 47 && report.cutRows == 1 && report.rowsCutToNothing == 1 && report.trainedTokens == 10)
    #expect(report.answers == 5 && report.answersWithoutStop == 0 && report.errors.isEmpty && report.longestRow.hasSuffix("d.jsonl:2"))
    #expect(report.sample.contains("⟦cd<|end|>⟧"))
    try report.check()
    // The same rows without the cache.
    let uncached = try TokenizedDataset(rows, renderer(context: 20), cacheBudget: 0)
    for index in 0..<2 { #expect(try uncached.row(index) == set.row(index)) }
  }

  @Test func pointlessDataIsRefused() throws {
    let folder = try TemporaryFolder()
    func fault(_ rows: [String], _ renderer: RowRenderer, _ layout: DataLayout = .chat) throws -> String? {
      let set = try TokenizedDataset(try data(folder, rows, layout), renderer)
      return message { try set.report.check() }
    }
    #expect(try fault([chat], renderer(context: 5))?.contains("none of 1 rows has a token with a label") == true)
    #expect(try fault([#"{"input_ids":[1,2],"labels":[7,-100]}"#], renderer(), .tokens)?.contains("nothing to train on") == true)
    #expect(try fault([chat], renderer(template: turnTemplate(stop: "#")))?.contains("2 of 2 answers do not end in a stop token") == true)
    let other = turnTemplate(stop: "<|fin|><|end|>", source: "<|user|><|fin|><|unused|>")
    let mismatch = try fault([chat], renderer(template: other))
    #expect(mismatch?.contains("the template writes <|fin|>, which the tokenizer knows only as plain text") == true)
    #expect(mismatch?.contains("⟦cd") == true)
  }

  @Test func refusalsOfTheTemplateAreListed() throws {
    let folder = try TemporaryFolder()
    let bad = #"{"messages":[{"role":"tool","content":"x"},{"role":"assistant","content":"f"}]}"#
    let found = message { try TokenizedDataset(try data(folder, [chat, bad, bad]), renderer()) } ?? ""
    #expect(found.contains("d.jsonl:2:1: no tools here") && found.contains("2 of 3 rows cannot be rendered"))
    let set = try TokenizedDataset(try data(folder, [chat, bad, bad], skip: 2), renderer())
    #expect(set.count == 1 && set.report.skippedRows == 2)
  }
}
