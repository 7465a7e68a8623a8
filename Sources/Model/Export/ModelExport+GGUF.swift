import Foundation
import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import SwiftletTokenizers

extension ModelExport {
  static let modelName = "model.gguf"

  /// Writes one file, loads it again, and compares.
  func writeGGUF(_ path: String, _ type: GGUFExportType) throws -> ExportReport {
    try AtomicFolder.writeFile(path, mayReplace: GGUFFile.isAt) { temporary in
      try report(try saveGGUF(temporary, type), .gguf(type), path: path, file: temporary)
    }
  }

  /// Writes a folder with the file and a Modelfile, loads the file again, and compares.
  func writeOllama(_ folder: String, _ type: GGUFExportType) throws -> ExportReport {
    let modelfile = try modelfile()
    return try AtomicFolder.write(folder, mayReplace: Format.ollama(type).mayReplace) { temporary in
      let file = "\(temporary)/\(Self.modelName)"
      let written = try saveGGUF(file, type)
      try AtomicFile.write("\(temporary)/Modelfile", bytes: modelfile.utf8)
      return try report(written, .ollama(type), path: folder, file: file)
    }
  }

  /// Metadata of the tokenizer; where the model has none, what lets llama.cpp load it for token ids alone.
  func tokenizerMetadata() throws -> [(String, GGUFValue)] {
    guard try hasTokenizer, let text else { return [("tokenizer.ggml.model", .string(Tokenizer.noneInGGUF))] }
    return try Tokenizer.ggufMetadata(folder: text, vocabulary: network.vocabularySize)
  }

  var hasTokenizer: Bool {
    get throws { try text.map(CompanionFiles.holdTokenizer) ?? false }
  }

  private func saveGGUF(_ path: String, _ type: GGUFExportType) throws -> GGUFModelFile.Report {
    try GGUFModelFile.save(network, type, source: base, text: tokenizerMetadata(), name: name, to: path)
  }

  private func report(_ written: GGUFModelFile.Report, _ format: Format, path: String, file: String) throws -> ExportReport {
    var notes: [String] = []
    if try !hasTokenizer { notes.append("there is no tokenizer in the file: it can be used with token ids alone") }
    if written.replaced > 0 {
      notes.append("\(written.replaced) of \(written.tensors) tensors are stored as another type: their rows do not fill its blocks")
    }
    return ExportReport(
      format, path: path, tensors: written.tensors, changed: written.changed, largestTensorError: written.largestError,
      comparison: compare(try ModelLoader.load(file)), notes: notes)
  }

  /// The Modelfile.
  /// - Throws: where there is no tokenizer, or the template has no form in a Modelfile.
  func modelfile() throws -> String {
    guard try hasTokenizer, let text else {
      throw CheckpointError(text ?? name, "Ollama wants a tokenizer, and neither tokenizer.json nor tokenizer.model is there")
    }
    let tokenizer = try Tokenizer.load(folder: text)
    let special = tokenizer.specialTokens
    let named = special.named.sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value) }
    let added = try tokenizer.addsBOS() ? special.bos?.text : nil
    let template = try tokenizer.chatTemplate.map {
      try OllamaTemplate(try ChatTemplate($0), specialTokens: named, bos: added ?? "")
    }
    let stops = special.stopCandidates.compactMap { tokenizer.token(of: $0) }
    return OllamaTemplate.modelfile(model: Self.modelName, template: template, stops: stops, context: network.decoder.maxPositions)
  }
}
