/// The prompt of Stanford Alpaca, for models without a chat template. A model that has one gets the instruction as a conversation in its
/// own template: that is what every program that serves it will send.
enum AlpacaPrompt {
  static func text(_ row: Instruction) -> RenderedText {
    let task = "Below is an instruction that describes a task"
    let request = "Write a response that appropriately completes the request."
    var prompt = row.system.map { "\($0)\n\n" } ?? ""
    prompt +=
      row.input.isEmpty
      ? "\(task). \(request)\n\n### Instruction:\n\(row.instruction)\n\n### Response:\n"
      : "\(task), paired with an input that provides further context. \(request)\n\n### Instruction:\n\(row.instruction)\n\n### Input:\n\(row.input)\n\n### Response:\n"
    let start = prompt.unicodeScalars.count
    return RenderedText(
      text: prompt + row.output, answers: [start..<start + row.output.unicodeScalars.count], addsSpecialTokens: true, appendsEnd: true)
  }
}
