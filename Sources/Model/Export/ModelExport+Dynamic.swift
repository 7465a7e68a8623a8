import SwiftletCPU
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletLayers
import SwiftletModels

extension ModelExport {
  /// Measures, chooses, writes a folder with the choice's table in it, loads it again, and compares.
  func writeDynamic(_ folder: String, _ format: Format, _ options: ModelFile.Options, _ budget: Double) throws -> ExportReport {
    let rows = try calibration.isEmpty ? CalibrationText.rows(text, vocabulary: network.vocabularySize) : calibration
    var choice = try measured(rows.isEmpty ? samples : rows, options, budget)
    try choice.compare(network, options, on: samples)
    return try writeModel(folder, format, choice: choice) { temporary in
      let report = try BitsAndBytesFile.save(network, to: temporary, options, choice.coding)
      try AtomicFile.write(Files.join(temporary, FourBitChoice.fileName), bytes: choice.file)
      return report
    }
  }

  private func measured(_ rows: [[Int32]], _ options: ModelFile.Options, _ budget: Double) throws -> FourBitChoice {
    let isBase =
      network.lora == nil
      && network.parameters.allSatisfy { !$0.isTrainable && $0.version == 0 && $0.quantized == nil && $0.device == .cpu }
    guard isBase, measuringDevice.isCUDA, let base else {
      return try FourBitChoice(network, options, measuringOn: rows, budget: budget)
    }
    return try FourBitChoice(measuring: base, text: text, on: measuringDevice, calibration: rows, budget: budget)
  }
}
