import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletModels
import SwiftletTokenizers

extension ModelExport {
  static let modelName = "model.gguf"

  /// Writes one file, loads it again, and compares.
  func writeGGUF(_ path: String, _ type: GGUFExportType) throws -> ExportReport {
    let written = try saveGGUF(path, type)
    return try report(written, path: path, file: path, format: "gguf")
  }

  /// Writes a folder with the file and a Modelfile, loads the file again, and compares.
  func writeOllama(_ folder: String, _ type: GGUFExportType) throws -> ExportReport {
    let modelfile = try modelfile()
    var written: GGUFModelFile.Report?
    try AtomicFolder.write(folder, mayReplace: { $0.contains("Modelfile") }) { temporary in
      written = try saveGGUF("\(temporary)/\(Self.modelName)", type)
      try Data(modelfile.utf8).write(to: URL(filePath: "\(temporary)/Modelfile"))
    }
    guard let written else { throw CheckpointError(folder, "nothing was written") }
    return try report(written, path: folder, file: "\(folder)/\(Self.modelName)", format: "ollama")
  }

  /// Metadata of the tokenizer; none where the model has none.
  static func tokenizerMetadata(_ folder: String, vocabulary: Int) throws -> [(String, GGUFValue)] {
    let isThere = ["tokenizer.json", "tokenizer.model"].contains { FileManager.default.fileExists(atPath: folder + "/" + $0) }
    return isThere ? try Tokenizer.ggufMetadata(folder: folder, vocabulary: vocabulary) : []
  }

  private func saveGGUF(_ path: String, _ type: GGUFExportType) throws -> GGUFModelFile.Report {
    let metadata = try Self.tokenizerMetadata(text, vocabulary: network.vocabularySize)
    let name = base.split(separator: "/").last.map(String.init) ?? "model"
    return try GGUFModelFile.save(network, type, text: metadata, name: name, to: path)
  }

  private func report(_ written: GGUFModelFile.Report, path: String, file: String, format: String) throws -> ExportReport {
    let loaded = try ModelLoader.load(file)
    return ExportReport(
      path: path, format: format, tensors: written.tensors, changed: written.changed, largestTensorError: written.largestError,
      comparison: compare(loaded, on: samples))
  }

  private func modelfile() throws -> String {
    let tokenizer = try Tokenizer.load(folder: text)
    let special = tokenizer.specialTokens
    let named = special.named.sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value) }
    let template = try tokenizer.chatTemplate.map {
      try OllamaTemplate(try ChatTemplate($0), specialTokens: named, bos: special.bos?.text ?? "")
    }
    let stops = special.stopCandidates.compactMap { tokenizer.token(of: $0) }
    return OllamaTemplate.modelfile(model: Self.modelName, template: template, stops: stops, context: network.decoder.maxPositions)
  }
}
