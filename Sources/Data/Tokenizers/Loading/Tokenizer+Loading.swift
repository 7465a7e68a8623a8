import Foundation
import SwiftletFormats

extension Tokenizer {
  /// Loads the tokenizer of a folder in Hugging Face layout: `tokenizer.json`, else `tokenizer.model` (SentencePiece, or Llama 3's
  /// list of tokens), with `tokenizer_config.json`, `special_tokens_map.json` and chat templates where they are.
  /// - Throws: `TokenizerError`, naming file and field.
  public static func load(folder: URL) throws -> Tokenizer {
    try load(folder: folder.path)
  }

  /// Loads the tokenizer of the folder at this path, see `load(folder:)`, or the one inside of a GGUF file.
  public static func load(folder path: String) throws -> Tokenizer {
    let folder = GGUFFile.isAt(path) ? try GGUFTokenizer(path).folder : TokenizerFolder(path: path)
    let configuration = try TokenizerConfiguration(folder)
    if let bytes = try folder.bytes("tokenizer.json") {
      let pipeline = try Pipeline(TokenizerJSON(bytes, file: "tokenizer.json"))
      return try Tokenizer(.pipeline(pipeline), configuration)
    }
    guard let bytes = try folder.bytes("tokenizer.model") else {
      throw TokenizerError(
        file: path, field: "", "no tokenizer.json and no tokenizer.model is in this folder: put the files of the model's tokenizer there")
    }
    return try fromModelFile(bytes, configuration)
  }

  /// Loads the tokenizer from the bytes of a `tokenizer.json` alone.
  public static func load(json bytes: [UInt8], file: String = "tokenizer.json") throws -> Tokenizer {
    try Tokenizer(.pipeline(try Pipeline(TokenizerJSON(bytes, file: file))), TokenizerConfiguration())
  }

  /// Loads the tokenizer from the bytes of a `tokenizer.model` alone.
  public static func load(model bytes: [UInt8]) throws -> Tokenizer {
    try fromModelFile(bytes, TokenizerConfiguration())
  }

  private static func fromModelFile(_ bytes: [UInt8], _ configuration: TokenizerConfiguration) throws -> Tokenizer {
    if Tiktoken.matches(bytes) {
      let pipeline = try Tiktoken.pipeline(
        bytes, file: "tokenizer.model", added: configuration.added, addsBOS: configuration.addsBOS ?? true)
      return try Tokenizer(.pipeline(pipeline), configuration)
    }
    let file = try SentencePieceFile(bytes, file: "tokenizer.model")
    let added = configuration.added.filter { token in
      // What the model knows as a control piece stays what the library makes of it.
      let index = token.id
      return !(file.pieces.indices.contains(index) && file.pieces[index].text == token.content)
    }
    let template = configuration.template(bos: file.bosID, eos: file.eosID) { id in
      file.pieces.indices.contains(id) ? String(decoding: file.pieces[id].text, as: UTF8.self) : nil
    }
    return try Tokenizer(
      .sentencePiece(SentencePieceTokenizer(file, added: AddedTokens(exactly: added), template: template)), configuration)
  }

  private convenience init(_ core: Core, _ configuration: TokenizerConfiguration) throws {
    self.init(
      core: core, specialTokens: configuration.specialTokens(core), chatTemplates: configuration.chatTemplates,
      defaultTemplate: configuration.chatTemplates["default"])
  }
}

/// A folder with a tokenizer's files, or what such a folder would hold.
struct TokenizerFolder {
  let path: String
  /// Files that are in memory, instead of those of the disk.
  var files: [String: [UInt8]]?

  /// The bytes of a file; nil where there is none.
  func bytes(_ name: String) throws -> [UInt8]? {
    if let files { return files[name] }
    let file = path + "/" + name
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    do { return Array(try Data(contentsOf: URL(fileURLWithPath: file))) } catch {
      throw TokenizerError(file: name, field: "", "the file cannot be read: \(error.localizedDescription)")
    }
  }

  /// A JSON file; nil where there is none.
  func json(_ name: String) throws -> Field? {
    guard let bytes = try bytes(name) else { return nil }
    do { return Field(file: name, path: "", json: try JSON(parsing: bytes)) } catch {
      throw TokenizerError(file: name, field: "", "not JSON: \(error)")
    }
  }

  /// A text file; nil where there is none.
  func text(_ name: String) throws -> String? {
    guard let bytes = try bytes(name) else { return nil }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw TokenizerError(file: name, field: "", "the text is not UTF-8") }
    return text
  }

  /// Names of the files in a folder inside, sorted.
  func names(in folder: String) -> [String] {
    if files != nil { return [] }
    return ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)) ?? []).sorted()
  }
}
