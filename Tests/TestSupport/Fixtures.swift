import Foundation
import SwiftletFormats

/// The folder of reference results: `$SWIFTLET_FIXTURES`, else `../shared/fixtures` beside the package.
package enum Fixtures {
  package static let root: URL = {
    if let path = ProcessInfo.processInfo.environment["SWIFTLET_FIXTURES"] { return URL(filePath: path, directoryHint: .isDirectory) }
    return projectRoot.deletingLastPathComponent().appending(path: "shared/fixtures", directoryHint: .isDirectory)
  }()

  /// The folder of this package.
  package static var projectRoot: URL {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  }

  package static var isPresent: Bool { FileManager.default.fileExists(atPath: root.path) }

  /// Names in a folder, sorted; empty where there is none.
  package static func names(in folder: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { !$0.hasPrefix(".") }.sorted()
  }

  /// Sub-folders, sorted by name.
  package static func folders(in folder: URL) -> [URL] {
    names(in: folder).map { folder.appending(path: $0) }.filter(isFolder)
  }

  package static func isFolder(_ url: URL) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory) && isDirectory.boolValue
  }

  package static func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

  package static func json(_ url: URL) throws -> JSON { try JSON(parsing: Data(contentsOf: url)) }
}

/// A folder that goes away with its last user.
package final class TemporaryFolder {
  package let url: URL

  package init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "swiftlet-parity-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// Writes rows as JSONL and returns the file.
  package func rows(_ name: String, _ rows: [JSON]) throws -> URL {
    let file = url.appending(path: name)
    try Data((rows.map { $0.serialized() + "\n" }).joined().utf8).write(to: file)
    return file
  }

  /// A folder of links to the files of `source`; `replacing` maps a name to another file of `source`.
  package func links(_ name: String, to source: URL, replacing: [String: String] = [:]) throws -> URL {
    let folder = url.appending(path: name)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for file in Fixtures.names(in: source) where !Fixtures.isFolder(source.appending(path: file)) {
      let target = source.appending(path: replacing[file] ?? file)
      try FileManager.default.createSymbolicLink(at: folder.appending(path: file), withDestinationURL: target)
    }
    return folder
  }
}
