import SwiftletCheckpoints
import SwiftletFormats

/// A format or type that there is none of.
public struct ExportFormatError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wanted and what was found.
  public let description: String
}

extension ModelExport.Format {
  /// The names that commands and recipes know.
  public static let names = ["adapter", "merged", "bnb-4bit", "dynamic4bit", "gguf", "ollama"]

  /// The types that a format can be written as.
  public static func types(of name: String) -> [String] {
    switch name {
    case "adapter": ["peft", "gguf", "gguf-f16"]
    case "merged": WeightFormat.allCases.map(\.rawValue)
    case "bnb-4bit", "dynamic4bit": ["bfloat16", "float16"]
    case "gguf", "ollama": GGUFExportType.allCases.map(\.rawValue)
    default: []
    }
  }

  /// The format of a name and, in any case, a type; nil takes the default one.
  /// - Throws: `ExportFormatError` that names what there is.
  public init(_ name: String, type: String? = nil) throws(ExportFormatError) {
    let type = type?.lowercased()
    guard Self.names.contains(name) else {
      throw ExportFormatError(description: "wants one of \(Self.names.joined(separator: ", ")), found \"\(name)\"")
    }
    let types = Self.types(of: name)
    if let type, !types.contains(type) {
      throw ExportFormatError(description: "\(name): one of \(types.joined(separator: ", ")) is wanted, found \"\(type)\"")
    }
    let codes = type.flatMap(GGUFExportType.init(rawValue:)) ?? .q4_k_m
    switch name {
    case "adapter":
      switch type {
      case "gguf": self = .adapterGGUF(.f32)
      case "gguf-f16": self = .adapterGGUF(.f16)
      default: self = .adapter
      }
    case "merged": self = .merged(type.flatMap(WeightFormat.init(rawValue:)))
    case "bnb-4bit": self = .bnb4bit(type.flatMap(WeightFormat.init(rawValue:)))
    case "dynamic4bit": self = .dynamic4bit(type.flatMap(WeightFormat.init(rawValue:)))
    case "gguf": self = .gguf(codes)
    default: self = .ollama(codes)
    }
  }

  /// The format's name.
  public var name: String {
    switch self {
    case .adapter, .adapterGGUF: "adapter"
    case .merged: "merged"
    case .bnb4bit: "bnb-4bit"
    case .dynamic4bit: "dynamic4bit"
    case .gguf: "gguf"
    case .ollama: "ollama"
    }
  }

  /// The type; nil where the format's own is taken.
  public var type: String? {
    switch self {
    case .adapter: nil
    case .adapterGGUF(let precision): precision == .f32 ? "gguf" : "gguf-f16"
    case .merged(let weights), .bnb4bit(let weights), .dynamic4bit(let weights, _): weights?.rawValue
    case .gguf(let type), .ollama(let type): type.rawValue
    }
  }

  /// Whether one file is written rather than a folder.
  public var isFile: Bool {
    switch self {
    case .adapterGGUF, .gguf: true
    default: false
    }
  }

  /// Whether matrices are written as bitsandbytes' 4-bit codes.
  var isFourBit: Bool {
    switch self {
    case .bnb4bit, .dynamic4bit: true
    default: false
    }
  }

  /// A name for what is written where none is chosen: `adapter`, `adapter-gguf.gguf`, `merged-bfloat16`, `gguf-q4_k_m.gguf`, …
  public var fileName: String { [name, type].compactMap(\.self).joined(separator: "-") + (isFile ? ".gguf" : "") }

  /// Whether a folder of these names holds an earlier export that may give way.
  func mayReplace(_ names: [String]) -> Bool {
    switch self {
    case .adapter: names.contains("adapter_config.json")
    case .ollama: names.contains("Modelfile")
    default: names.contains("config.json") || names.contains("adapter_config.json")
    }
  }
}
