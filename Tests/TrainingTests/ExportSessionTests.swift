import Foundation
import SwiftletCheckpoints
import SwiftletExport
import SwiftletFormats
import SwiftletModels
import SwiftletTokenizers
import SwiftletTracking
import SwiftletTrainers
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension TrainingTests {
  /// `saving.export`: checked before the first step, written after the last.
  @Suite(.serialized) struct ExportSessionTests {
    /// A scene whose model lies in a folder.
    private func scene() throws -> (Scene, [String]) {
      let scene = try Scene()
      let config = try ModelConfig(parsing: Tiny.llama)
      try ModelFile.save(
        ModelRegistry.make(config: config, source: .random(seed: 1)), to: scene.path("model"), .init(format: .bfloat16))
      return (scene, ["model.source=\(scene.path("model"))"])
    }

    private func record(_ scene: Scene, _ run: String) throws -> JSON {
      try JSON(parsing: Data(contentsOf: URL(filePath: scene.path(run) + "/run.json")))
    }

    @Test func everyFormat() throws {
      let (scene, source) = try scene()
      let all =
        "saving.export=[adapter, {adapter: gguf}, {merged: float32}, merged, bnb-4bit, {dynamic4bit: float16}, {gguf: q8_0}, {gguf: f16}]"
      let names = [
        "adapter", "adapter-gguf.gguf", "bnb-4bit", "dynamic4bit-float16", "gguf-f16.gguf", "gguf-q8_0.gguf", "merged", "merged-float32",
      ]
      for (run, settings) in [("lora", []), ("qlora", ["model.weights=nf4"])] {
        var exported: [JSONObject] = []
        let recipe = try scene.recipe(run, source + settings + [all])
        #expect(try Recipe(text: recipe.yaml) == recipe)
        try scene.run(recipe) { if case .exported(let text, let report) = $0 { exported.append(text.isEmpty ? JSONObject() : report) } }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scene.path(run) + "/export").sorted() == names)
        let reports = try record(scene, run)["exports"]?.array ?? []
        #expect(reports.map(\.object) == exported && reports.count == names.count)
        for report in reports {
          let (kl, name) = (report["kl"]?.double ?? .infinity, report["path"]?.string ?? "")
          #expect(kl < 1 && report["tokens_compared"]?.int ?? 0 > 4 && report["max_tensor_error"]?.double != nil, "\(name): \(report)")
          // On 4-bit weights the adapter's own file is exact; merged models have the original weights under it.
          if name.contains("/adapter") { #expect(report["max_logit_difference"]?.double ?? 1 < 1e-5, "\(report)") }
          if run == "lora", name.contains("float32") { #expect(report["max_logit_difference"]?.double ?? 1 < 1e-4, "\(report)") }
        }
        // The base of a merge is the original, not what four bits left of it.
        let merged = try ModelLoader.load(scene.path(run) + "/export/merged-float32")
        let base = try ModelLoader.load(scene.path("model"), as: .float32, adapter: scene.path(run) + "/final")
        let export = ModelExport(base, base: scene.path("model"), text: nil)
        try export.write(.merged(.float32), to: scene.path("\(run)-again"))
        #expect(try scene.bytes("\(run)-again/model.safetensors") == scene.bytes("\(run)/export/merged-float32/model.safetensors"))
        #expect(merged.parameters.allSatisfy { $0.quantized == nil })
      }
      let full = try scene.recipe("full", source + ["adapter=null", "saving.export=[merged, {gguf: f16}]"])
      try scene.run(full)
      #expect(try ModelLoader.load(scene.path("full/export/merged")).embedding.weight.dtype == .bfloat16)
    }

    /// A GGUF file is the base of a run like any folder: the tokenizer that it brings goes everywhere, back into GGUF files as it stood there.
    @Test func fromGGUF() throws {
      let scene = try Scene()
      let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      let nestling = package.appending(path: "Nestling/model").path
      let base = scene.path("base.gguf")
      try ModelExport(try ModelLoader.load(nestling), base: nestling, text: nestling).write(.gguf(.q8_0), to: base)
      func tokenizer(_ file: String) throws -> [(key: String, value: GGUFValue)] {
        try GGUFFile(file).header.metadata.filter { $0.key.hasPrefix("tokenizer.") }
      }
      let text = "Ida here. Please give me two red hats, thank you."
      let ids = try Tokenizer.load(folder: nestling).encode(text)
      for (run, settings) in [("lora", []), ("full", ["adapter=null", "model.weights=float32"])] {
        let exports = "saving.export=[merged, {gguf: f16}, bnb-4bit, ollama]"
        try scene.run(try scene.recipe(run, ["model.source=\(base)", "plan.steps=2", "plan.epochs=null", exports] + settings))
        let folder = scene.path(run) + "/export"
        let files = ["\(folder)/gguf-f16.gguf", "\(folder)/ollama-q4_k_m/model.gguf"]
        for file in files {
          #expect(
            try tokenizer(file).map(\.key) == tokenizer(base).map(\.key) && tokenizer(file).map(\.value) == tokenizer(base).map(\.value))
        }
        for place in [scene.path(run) + "/final", folder + "/merged", folder + "/bnb-4bit"] + files {
          #expect(try Tokenizer.load(folder: place).encode(text) == ids, "\(place)")
        }
        // From the run's own folder, whose tokenizer files were written from the base's.
        let location = scene.path(run) + "/final"
        let model = run == "lora" ? try ModelLoader.load(base, as: .float32, adapter: location) : try ModelLoader.load(location)
        try ModelExport(model, base: run == "lora" ? base : location, text: location).write(.gguf(.f16), to: scene.path("\(run).gguf"))
        #expect(try Tokenizer.load(folder: scene.path("\(run).gguf")).encode(text) == ids)
      }
      // Rows of token ids need no tokenizer: one of a kind that is not known costs a warning, not the weights.
      var bytes = try Data(contentsOf: URL(filePath: base))
      let key = try #require(bytes.range(of: Data("tokenizer.ggml.pre".utf8)))
      let value = bytes.index(key.upperBound, offsetBy: 12)
      bytes[value] = UInt8(ascii: "~")
      try bytes.write(to: URL(filePath: scene.path("strange.gguf")))
      #expect(throws: TokenizerError.self) { try Tokenizer.load(folder: scene.path("strange.gguf")) }
      try scene.run(
        try scene.recipe("strange", ["model.source=\(scene.path("strange.gguf"))", "plan.steps=2", "plan.epochs=null", "saving.every=1"]))
      #expect(try scene.bytes("strange/final/adapter_model.safetensors").count > 0)
    }

    /// Each error comes before the first step and names the export; nothing is left in the folder but the run's lock.
    @Test func refusedBeforeTheFirstStep() throws {
      let (scene, source) = try scene()
      let cases: [(String, [String], [String])] = [
        ("ollama", ["saving.export=[{gguf: q8_0}, ollama]"], ["saving.export[1] (ollama q4_k_m)", "tokenizer"]),
        ("dora", ["adapter.lora.useDoRA=true", "saving.export=[{adapter: gguf}]"], ["saving.export[0] (adapter gguf)", "DoRA"]),
        ("full", ["adapter=null", "saving.export=[adapter]"], ["saving.export[0] (adapter)", "no adapter"]),
        ("twice", ["saving.export=[merged, merged]"], ["saving.export[1] (merged)", "stands twice"]),
        ("both", ["adapter=null", "saving.export=[adapter, ollama]"], ["saving.export[0]", "saving.export[1]"]),
      ]
      for (name, settings, words) in cases {
        let error = #expect(throws: TrainingError.self) { try scene.run(try scene.recipe(name, source + settings)) }
        for word in words { #expect(error?.description.contains(word) == true, "\(name): \(error?.description ?? "")") }
        #expect(Fixtures.names(in: URL(filePath: scene.path(name))).isEmpty)
      }
      let random = #expect(throws: TrainingError.self) { try scene.run(try scene.recipe("random", ["saving.export=[adapter]"])) }
      #expect(random?.description.contains("random weights") == true)
      try Data(
        #"{"model_type":"gemma2","query_pre_attn_scalar":9,"head_dim":8,"vocab_size":97,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128}"#
          .utf8
      ).write(to: URL(filePath: scene.path("gemma.json")))
      let gemma = #expect(throws: TrainingError.self) {
        try scene.run(try scene.recipe("gemma", ["model.config=\(scene.path("gemma.json"))", "saving.export=[gguf]"]))
      }
      #expect(gemma?.description.contains("query_pre_attn_scalar") == true)
    }

    /// Killed while it exports: what has its name is whole, and a resumed run finishes the rest without a trace of the first try.
    @Test func killedWhileExporting() throws {
      guard FileManager.default.isExecutableFile(atPath: Command.binary.path) else {
        return print("skipped: \(Command.binary.path) is not built")
      }
      let (scene, source) = try scene()
      let all = "saving.export=[{gguf: q4_0}, {merged: float32}, bnb-4bit, {gguf: q8_0}, {adapter: gguf}, adapter, {gguf: f32}]"
      var struck = 0
      for round in 0..<6 {
        let recipe = try scene.recipe("run\(round)", source + [all, "plan.epochs=1"])
        try Data(recipe.yaml.utf8).write(to: URL(filePath: scene.path("\(round).yaml")))
        let folder = scene.path("run\(round)") + "/export"
        let result = try Command.run(["train", scene.path("\(round).yaml"), "--quiet"]) { process in
          while process.isRunning, !FileManager.default.fileExists(atPath: folder) { usleep(50) }
          usleep(UInt32.random(in: 0...UInt32(4000 * round)))
          if process.isRunning, kill(process.processIdentifier, SIGKILL) == 0 { struck += 1 }
        }
        let there = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { !$0.hasPrefix(".") }
        for name in there where name != "adapter" && name != "adapter-gguf.gguf" { _ = try ModelLoader.load(folder + "/" + name) }
        if result.code != 0 {
          let again = try Command.run(["train", "--resume", scene.path("run\(round)"), "--quiet"])
          #expect(again.code == 0, "\(again.error)")
          #expect(
            again.output.split(separator: "\n").filter { !$0.hasPrefix("note: ") }.count == 14,
            "two lines an export on stdout: \(again.output)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 7)
        #expect(try record(scene, "run\(round)")["exports"]?.array?.count == 7)
      }
      print("killed \(struck) of 6 runs")
    }
  }
}
