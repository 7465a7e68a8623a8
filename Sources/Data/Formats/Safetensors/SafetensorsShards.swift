import SwiftletCPU

/// The tensors of a folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` names.
public final class SafetensorsShards: Sendable {
  /// The files, in order of first mention.
  public let files: [SafetensorsFile]
  /// Names of all tensors, in file order.
  public let names: [String]
  private let places: [ExactString: Place]

  private struct Place: Sendable {
    let file: Int
    let entry: SafetensorsEntry
  }

  /// Opens `<stem>.safetensors` of a folder or, where there is none, the shards of `<stem>.safetensors.index.json`.
  /// - Throws: `FileError` or `SafetensorsError` that names the file, shard and tensor.
  public convenience init(folder: String, stem: String = "model") throws {
    let single = "\(folder)/\(stem).safetensors"
    let index = "\(single).index.json"
    if Files.kind(single) == .file {
      try self.init(file: single)
    } else if Files.kind(index) == .file {
      try self.init(index: index, folder: folder)
    } else {
      let pickled = Files.kind("\(folder)/pytorch_model.bin") == .file || Files.kind("\(folder)/pytorch_model.bin.index.json") == .file
      let hint = pickled ? " (pytorch_model.bin is a pickle, which can run code and is never read: convert it to safetensors)" : ""
      throw FileError("open", folder, reason: "neither \(stem).safetensors nor \(stem).safetensors.index.json is there\(hint)")
    }
  }

  /// Opens one file.
  public init(file path: String) throws {
    let file = try SafetensorsFile(path)
    files = [file]
    names = file.entries.map(\.name)
    places = Dictionary(file.entries.map { (ExactString($0.name), Place(file: 0, entry: $0)) }) { first, _ in first }
  }

  private init(index path: String, folder: String) throws {
    var files: [SafetensorsFile] = []
    var fileNumbers: [ExactString: Int] = [:]
    var names: [String] = []
    var places: [ExactString: Place] = [:]
    for (name, shard) in try Self.weightMap(path) {
      guard Files.isPlainName(shard) else {
        throw SafetensorsError(
          file: path, tensor: name, field: "weight_map", "\"\(shard)\" is not a plain file name (it must stay inside its folder)")
      }
      if fileNumbers[ExactString(shard)] == nil {
        guard Files.kind("\(folder)/\(shard)") == .file else {
          throw SafetensorsError(file: path, tensor: name, field: "weight_map", "the shard \"\(shard)\" is missing in \(folder)")
        }
        fileNumbers[ExactString(shard)] = files.count
        files.append(try SafetensorsFile("\(folder)/\(shard)"))
      }
      guard let number = fileNumbers[ExactString(shard)], let entry = files[number][name] else {
        throw SafetensorsError(file: path, tensor: name, field: "weight_map", "the tensor is not in its shard \"\(shard)\"")
      }
      names.append(name)
      places[ExactString(name)] = Place(file: number, entry: entry)
    }
    self.files = files
    self.names = names
    self.places = places
  }

  private static func weightMap(_ path: String) throws -> [(String, String)] {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: try Self.read(path)) } catch {
      throw SafetensorsError(file: path, field: "index", "not JSON, at \(error)")
    }
    guard let map = json["weight_map"] else { throw SafetensorsError(file: path, field: "weight_map", "missing") }
    guard let object = map.object else {
      throw SafetensorsError(file: path, field: "weight_map", "an object is wanted, found \(map.kind)")
    }
    var pairs: [(String, String)] = []
    for (name, value) in object {
      guard let shard = value.string else {
        throw SafetensorsError(file: path, tensor: name, field: "weight_map", "\(value.kind), want a file name")
      }
      pairs.append((name, shard))
    }
    return pairs
  }

  private static func read(_ path: String) throws(JSONError) -> [UInt8] {
    do throws(FileError) { return try Files.read(path, limit: SafetensorsHeader.lengthLimit) } catch {
      throw JSONError(line: 1, column: 1, message: error.description)
    }
  }

  /// The tensor called `name` and the file that holds it; nil where there is none.
  public subscript(name: String) -> (file: SafetensorsFile, entry: SafetensorsEntry)? {
    places[ExactString(name)].map { (files[$0.file], $0.entry) }
  }

  /// The tensor called `name`.
  /// - Throws: `SafetensorsError` that names the nearest name there is.
  public func tensor(_ name: String) throws(SafetensorsError) -> (file: SafetensorsFile, entry: SafetensorsEntry) {
    if let found = self[name] { return found }
    let hint = Suggestion.nearest(to: name, among: names).map { "; the nearest is \"\($0)\"" } ?? ""
    let place = files.first?.path ?? "no file"
    throw SafetensorsError(file: place, tensor: name, field: "tensor", "missing (\(names.count) tensors in \(files.count) files\(hint))")
  }
}
