import Foundation
import Swiftlet
import TestSupport
import Testing

@Suite(.serialized) struct ModelCommandTests {
  private let model: TinyModel
  init() throws { model = try TinyModel() }

  @Test func scoresAreLogProbabilitiesOfTheLogits() throws {
    let rows = try model.work.rows("rows.jsonl", try [#"{"input_ids":[5,6,7,8]}"#, #"{"text":"Hello"}"#].map { try JSON(parsing: $0) })
    let file = model.work.url.appending(path: "logits.safetensors")
    let answers = try Command.rows(["score", model.path, "--input", rows.path, "--logits", file.path])
    #expect(answers.count == 2)
    let logits = try ReferenceTensors(file)
    #expect(try logits.shape("logits.0") == [4, 1024])
    let numbers = try logits.floats("logits.0")
    let values = answers[0]["logprobs"]?.array ?? []
    #expect(values.count == 4 && values[0].isNull)
    for (place, id) in [(1, 6), (2, 7), (3, 8)] {
      let row = numbers[(place - 1) * 1024..<place * 1024]
      let most = row.max() ?? 0
      let sum = row.reduce(0.0) { $0 + exp(Double($1 - most)) }
      let wanted = Double(row[row.startIndex + id] - most) - log(sum)
      #expect(abs((values[place].double ?? 0) - wanted) < 1e-4)
    }
    let total = values.dropFirst().reduce(0.0) { $0 + ($1.double ?? 0) }
    #expect(abs((answers[0]["sum"]?.double ?? 0) - total) < 1e-9)
    #expect(abs((answers[0]["perplexity"]?.double ?? 0) - exp(-total / 3)) < 1e-6)
  }

  @Test func generationIsRepeatable() throws {
    let rows = try model.work.rows(
      "prompts.jsonl",
      try [#"{"prompt":"Hi"}"#, #"{"messages":[{"role":"user","content":"Hi"}]}"#, #"{"input_ids":[4,5,6]}"#].map { try JSON(parsing: $0) })
    let sampled = [
      "generate", model.path, "--input", rows.path, "--json", "--max-tokens", "6", "--ignore-eos", "--temperature", "1.2", "--top-k", "50",
      "--seed",
    ]
    let first = try Command.rows(sampled + ["1"])
    #expect(first == (try Command.rows(sampled + ["1"])))
    #expect(first != (try Command.rows(sampled + ["2"])))
    for (index, row) in first.enumerated() {
      #expect(row["index"]?.int == index)
      #expect(row["tokens"]?.array?.count == 6)
      #expect(row["finish_reason"]?.string == "length")
      #expect(row["text"]?.string != nil)
    }
    // A prompt goes through the template: the same tokens as the conversation.
    let greedy = try Command.rows(["generate", model.path, "--input", rows.path, "--json", "--max-tokens", "6"])
    #expect(greedy[0]["tokens"] == greedy[1]["tokens"])
    let raw = try Command.rows(["generate", model.path, "--prompt", "Hi", "--json", "--max-tokens", "6", "--raw"])
    #expect(raw[0]["tokens"] != greedy[0]["tokens"])
  }

  @Test func textGoesToStdoutAlone() throws {
    let result = try Command.run(["generate", model.path, "--prompt", "Hi", "--max-tokens", "5", "--ignore-eos"])
    let json = try Command.rows(["generate", model.path, "--prompt", "Hi", "--max-tokens", "5", "--ignore-eos", "--json"])
    #expect(result.code == 0)
    #expect(result.output == (json[0]["text"]?.string ?? "") + "\n")
  }

  @Test func chatReadsAPipe() throws {
    let result = try Command.run(["chat", model.path, "--max-tokens", "4", "--json"], input: "Hi\n/new\nHi\n")
    let rows = result.output.split(separator: "\n")
    #expect(result.code == 0, "\(result.error)")
    #expect(rows.count == 2)
    #expect(rows.first == rows.last || rows.count == 2)
    for row in rows { #expect((try JSON(parsing: String(row)))["finish_reason"]?.string != nil) }
  }

  @Test func idsOutsideOfTheVocabularyAreRefused() throws {
    let result = try Command.run(["score", model.path, "--input", "-"], input: #"{"input_ids":[1,999999]}"#)
    #expect(result.code == 1)
    #expect(result.error.contains("999999") && result.error.contains("fix:"))
  }

  @Test func withoutATokenizerIdsStillWork() throws {
    let bare = try TinyModel(tokenizer: false)
    let rows = try Command.run(["generate", bare.path, "--input", "-", "--json", "--max-tokens", "2"], input: #"{"input_ids":[4,5]}"#)
    #expect(rows.code == 0)
    #expect((try JSON(parsing: rows.output))["text"]?.isNull == true)
    let text = try Command.run(["generate", bare.path, "--prompt", "Hi"])
    #expect(text.code == 1)
    #expect(text.error.contains("no tokenizer"))
    // So it is with a GGUF file, whose report says that it holds none.
    let file = bare.work.url.appending(path: "bare.gguf").path
    let report = try Command.rows(["export", bare.path, "--format", "gguf", "--type", "f32", "--output", file, "--json"])
    #expect(report[0]["notes"]?.array?.first?.string?.contains("tokenizer") == true)
    let same = try Command.run(["generate", file, "--input", "-", "--json", "--max-tokens", "2"], input: #"{"input_ids":[4,5]}"#)
    #expect(same.output == rows.output, "\(same.error)")
  }

  @Test func weightsAreChosenWhenTheyAreLoaded() throws {
    let common = ["score", model.path, "--input", "-", "--weights", "dynamic4bit"]
    let result = try Command.run(common, input: #"{"input_ids":[4,5,6]}"#)
    #expect(result.code == 0 && result.output.contains("logprobs") && result.error.contains("stay in 16 bits"), "\(result.error)")
    #expect(try Command.run(common + ["--quiet"], input: #"{"input_ids":[4,5,6]}"#).error.isEmpty)
    let bench = try Command.run(["bench", "--decode", model.path + "/config.json", "--weights", "dynamic4bit"])
    #expect(bench.code == 1 && bench.error.contains("random weights") && bench.error.contains("fix:"), "\(bench.error)")
  }

  @Test func whatStaysIn16BitsIsATable() throws {
    let rows = model.work.url.appending(path: "rows.jsonl").path
    try Data(#"{"text":"Hi there"}"#.utf8).write(to: URL(filePath: rows))
    let common = ["export", model.path, "--format", "dynamic4bit", "--budget", "0.2", "--calibration", rows]
    let report = try Command.rows(common + ["--output", model.work.url.appending(path: "a").path, "--json"])[0]
    let modules = report["dynamic"]?["modules"]?.array ?? []
    #expect(!modules.isEmpty && report["dynamic"]?["calibration_tokens"]?.int ?? 0 > 0)
    let text = try Command.run(common + ["--output", model.work.url.appending(path: "b").path])
    #expect(text.code == 0 && text.output.hasPrefix("module"), "\(text.error)")
    for module in modules { #expect(text.output.contains(module["module"]?.string ?? "?")) }
    try Data(#"{"input_ids":[]}"#.utf8).write(to: URL(filePath: rows))
    let empty = try Command.run(common + ["--output", model.work.url.appending(path: "c").path])
    #expect(empty.code == 1 && empty.error.contains("nothing to measure on"), "\(empty.error)")
  }

  @Test func benchSpeaksJSON() throws {
    let config = model.path + "/config.json"
    let train = try Command.rows(["bench", "--train", config, "--batch", "1", "--length", "8", "--steps", "1", "--json"])
    #expect((train[0]["tokens_per_second"]?.double ?? 0) > 0)
    #expect((train[0]["peak_bytes"]?.int ?? 0) > 0)
    let decode = try Command.rows(["bench", "--decode", config, "--length", "4", "--steps", "2", "--json"])
    #expect(decode.map { $0["kind"]?.string } == ["prefill", "decode"])
    #expect(try Command.rows(["bench", "swiglu", "--json"])[0]["unit"]?.string == "GB/s")
  }
}
