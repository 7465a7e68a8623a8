import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels

extension ModelExport {
  static let choiceName = "dynamic4bit.json"

  /// Measures, chooses, writes a folder with the choice's table in it, loads it again, and compares.
  func writeDynamic(_ folder: String, _ format: Format, _ options: ModelFile.Options, _ budget: Double) throws -> ExportReport {
    let choice = try FourBitChoice(network, options, measuringOn: calibrationRows(), samples: samples, budget: budget)
    return try writeModel(folder, format, choice: choice) { temporary in
      let report = try BitsAndBytesFile.save(network, to: temporary, options, choice.coding)
      try AtomicFile.write(Files.join(temporary, Self.choiceName), bytes: (choice.json.serialized(indent: 2) + "\n").utf8)
      return report
    }
  }

  private func calibrationRows() throws -> [[Int32]] {
    if !calibration.isEmpty { return calibration }
    let rows = try CalibrationText.rows(hasTokenizer ? text : nil, vocabulary: network.vocabularySize)
    return rows.isEmpty ? samples : rows
  }
}
