import Foundation
import SwiftletHub
import SwiftletTrainers

/// Where MODEL lies: the folder of the base model, the adapter on top, and the folder whose tokenizer and template belong to them.
public struct ModelLocation: Hashable, Sendable {
  /// What the user wrote.
  public let name: String
  /// The folder with `config.json` and weights; nil where the folder holds a tokenizer only.
  public let base: String?
  /// A folder with a PEFT adapter.
  public let adapter: String?
  /// The folder whose tokenizer files count.
  public let text: String

  /// Finds a model: a folder in Hugging Face layout, with or without adapter; a run folder, whose newest weights count; or the name of a
  /// repository in the Hugging Face cache.
  /// - Parameter adapter: a PEFT adapter to put on top.
  /// - Throws: `Failure` that says what was looked for and where.
  public static func find(_ name: String, adapter: String? = nil) throws -> ModelLocation {
    let source = try ModelSource(name)
    if source.isFile { return try file(source.path, name, adapter: adapter) }
    let folder = source.path
    var found = isRun(folder) ? try newestWeights(of: folder, name) : folder
    var onTop: String?
    if !exists(found, "config.json"), exists(found, "adapter_config.json") {
      onTop = found
      found = try base(ofAdapter: found)
    } else if exists(found, "adapter_config.json") {
      onTop = found
    }
    if let adapter {
      guard onTop == nil else {
        throw Failure("two adapters", at: "\(name) and \(adapter)", why: "one adapter at a time", fix: "export \(name) as merged first")
      }
      guard exists(adapter, "adapter_config.json") else {
        throw Failure("no adapter", at: adapter, why: "a folder with adapter_config.json is wanted", fix: "check the path of --adapter")
      }
      onTop = adapter
    }
    let text = [onTop, found].compactMap(\.self).first(where: holdsTokenizer) ?? found
    return ModelLocation(name: name, base: holdsModel(found) ? found : nil, adapter: onTop, text: text)
  }

  /// The folder of the base model.
  /// - Throws: `Failure` where there is none.
  public func requireBase() throws -> String {
    guard let base else {
      throw Failure("no model", at: name, why: "the folder has no config.json", fix: "name a folder that holds config.json and weights")
    }
    return base
  }

  /// The tokenizer.
  /// - Throws: where there is none, or its files make no sense.
  public func tokenizer() throws -> Tokenizer { try Tokenizer.load(folder: text) }

  /// A GGUF file, which brings its tokenizer.
  private static func file(_ path: String, _ name: String, adapter: String?) throws -> ModelLocation {
    guard path.hasSuffix(".gguf") else {
      throw Failure(
        "not a model", at: name, why: "a folder in Hugging Face layout or a .gguf file is wanted",
        fix: "name the folder that holds config.json and the weights")
    }
    return ModelLocation(name: name, base: path, adapter: adapter, text: path)
  }

  private static func isRun(_ folder: String) -> Bool {
    exists(folder, "recipe.yaml") && !exists(folder, "config.json") && !exists(folder, "adapter_config.json")
  }

  /// `final`, else the newest checkpoint that passes its checks.
  private static func newestWeights(of run: String, _ name: String) throws -> String {
    if exists(run, "final/config.json") || exists(run, "final/adapter_config.json") { return run + "/final" }
    for step in RunFolder.checkpointSteps(run).reversed() {
      let folder = "\(run)/checkpoint-\(step)"
      if (try? Manifest.verify(folder)) != nil { return folder }
    }
    throw Failure(
      "the run has no weights yet", at: name, why: "neither final/ nor a checkpoint that passes its checks",
      fix: "train on with: swiftlet train \(name)/recipe.yaml --resume \(name)")
  }

  /// The model that an adapter's config names: a path (also from the adapter's own folder) or a repository.
  private static func base(ofAdapter folder: String) throws -> String {
    let config = FileManager.default.contents(atPath: folder + "/adapter_config.json").flatMap { try? JSON(parsing: $0) }
    guard let name = config?["base_model_name_or_path"]?.string, !name.isEmpty else {
      throw Failure(
        "the adapter does not name its model", at: folder + "/adapter_config.json", why: "\"base_model_name_or_path\" is missing",
        fix: "say swiftlet … MODEL --adapter \(folder)")
    }
    for candidate in name.hasPrefix("/") ? [name] : [name, folder + "/" + name] where holdsModel(candidate) { return candidate }
    do throws(HubError) { return try ModelSource(name).path } catch {
      throw Failure(
        "the adapter's model is not there", at: "\(folder)/adapter_config.json: base_model_name_or_path \(name)", why: error.message,
        fix: "say swiftlet … MODEL --adapter \(folder)")
    }
  }

  private static func holdsTokenizer(_ folder: String) -> Bool {
    ["tokenizer.json", "tokenizer.model"].contains { exists(folder, $0) }
  }

  private static func holdsModel(_ path: String) -> Bool {
    exists(path, "config.json") || (path.hasSuffix(".gguf") && FileManager.default.fileExists(atPath: path))
  }

  private static func exists(_ folder: String, _ name: String) -> Bool { FileManager.default.fileExists(atPath: folder + "/" + name) }
}
