import SwiftletCPU
import SwiftletExport
import SwiftletFormats
import SwiftletLayers
import SwiftletModels

/// What a run exports when it has ended: into `export/` of its folder, each under a name of its own, there only when it was read back.
struct RunExports {
  static let folderName = "export"
  /// Bytes that they will take.
  let byteCount: Int
  private let formats: [ModelExport.Format]
  private let source: ModelSource
  private let recipe: Recipe
  private let folder: RunFolder

  /// Checks every export on the model's shapes, before a weight is loaded.
  /// - Throws: `TrainingError` that names the recipe's line of each export that would fail, and why.
  init(_ recipe: Recipe, _ source: ModelSource, _ folder: RunFolder) throws {
    (self.recipe, self.source, self.folder, formats) = (recipe, source, folder, recipe.saving.export)
    byteCount = try formats.isEmpty ? 0 : RunExports.check(recipe, source, folder)
  }

  private static func check(_ recipe: Recipe, _ source: ModelSource, _ folder: RunFolder) throws -> Int {
    let export = RunExports.export(try source.shapes(recipe), recipe, source, samples: [])
    var (bytes, problems): (Int, [String]) = (0, [])
    for (index, format) in recipe.saving.export.enumerated() {
      let place = "saving.export[\(index)] (\(format.name)\(format.type.map { " " + $0 } ?? "")): "
      do {
        guard !recipe.saving.export.prefix(index).contains(where: { $0.fileName == format.fileName }) else {
          throw TrainingError("stands twice")
        }
        bytes += try export.check(chosen(format, recipe, source), to: path(format, folder))
      } catch {
        problems.append(place + "\(error)")
      }
    }
    guard problems.isEmpty else {
      throw TrainingError(
        "what the recipe exports at the end would fail\n\(problems.joined(separator: "\n"))\nfix: change saving.export, or leave it out")
    }
    return bytes
  }

  private static func export(_ model: CausalLM, _ recipe: Recipe, _ source: ModelSource, samples: [[Int32]]) -> ModelExport {
    ModelExport(
      model, base: source.folder, baseName: recipe.model.source, text: source.tokenizer, precision: recipe.model.weights, samples: samples)
  }

  private static func path(_ format: ModelExport.Format, _ folder: RunFolder) -> String {
    folder.file(folderName) + "/" + format.fileName
  }

  /// A fully trained model is float32 in memory: it is exported in the format of `final`.
  private static func chosen(_ format: ModelExport.Format, _ recipe: Recipe, _ source: ModelSource) -> ModelExport.Format {
    guard case .merged(nil) = format, recipe.adapter == nil else { return format }
    return .merged(source.finalFormat(recipe))
  }

  /// Writes all of them, calling `body` after each.
  /// - Throws: at the first that fails; those before it stay.
  func write(_ model: CausalLM, samples: [[Int32]], before: (String) -> Void, after: (ExportReport) throws -> Void) throws {
    let export = RunExports.export(model, recipe, source, samples: samples)
    for format in formats {
      let path = RunExports.path(format, folder)
      before(path)
      do { try after(export.write(RunExports.chosen(format, recipe, source), to: path)) } catch {
        throw TrainingError(
          """
          \(path) could not be exported: \(error)
          the trained weights are in \(folder.file("final"))
          fix: what it says, then go on with --resume \(folder.path), which only exports again; or use swiftlet export \(folder.path)
          """)
      }
    }
  }
}
