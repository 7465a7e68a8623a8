import Foundation
import SwiftletDatasets
import SwiftletFormats
import SwiftletTokenizers
import Testing

@Suite struct RealDataTests {
  /// The data sets of the fixtures, rendered by every model whose tokenizer is there: everything trained ends in a stop token.
  @Test func datasets() throws {
    guard let data = fixtures("datasets"), let tokenizers = fixtures("tokenizers"), let templates = fixtures("chat_templates") else {
      return
    }
    let source = try String(contentsOfFile: "\(templates)/templates/trl__qwen2_5_training.jinja", encoding: .utf8)
    let tokenizer = try Tokenizer.load(folder: "\(tokenizers)/bytelevel-qwen-640")
    for (file, layout, rows) in [
      ("gsm8k_messages", DataLayout.chat, 600), ("gsm8k_alpaca", .alpaca, 200), ("gsm8k_sharegpt", .sharegpt, 150),
    ] {
      let set = try Dataset("\(data)/\(file).jsonl", DatasetOptions(layout: layout))
      for template in [
        source, source.replacingOccurrences(of: "{% generation %}", with: "").replacingOccurrences(of: "{% endgeneration %}", with: ""),
      ] {
        let renderer = try RowRenderer(tokenizer: tokenizer, template: template, contextLength: 4096)
        let tokenized = try TokenizedDataset(set, renderer)
        try tokenized.report.check()
        #expect(tokenized.count == rows && tokenized.report.answersWithoutStop == 0 && tokenized.report.answers >= rows, "\(file)")
        print("\(file): \(tokenized.report.summary)")
      }
    }
  }
}
