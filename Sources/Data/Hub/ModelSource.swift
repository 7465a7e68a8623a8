import SwiftletCPU
import SwiftletFormats

/// Where a MODEL argument leads on this machine.
public struct ModelSource: Hashable, Sendable {
  /// A folder in Hugging Face layout (or a run folder), or one file.
  public let path: String
  /// Whether `path` is one file (`.gguf`).
  public let isFile: Bool
  /// The repository's name, where it was found in the cache.
  public let repository: String?

  /// Resolves a MODEL string: an existing folder or file, else a repository in the Hugging Face cache. Never downloads.
  /// - Parameters:
  ///   - text: a path (`~/` is the home folder) or a repository's name.
  ///   - revision: branch, tag or commit of a repository.
  /// - Throws: `HubError` that says what was looked for and where.
  public init(_ text: String, revision: String = "main", environment: (String) -> String? = HubCache.variable) throws(HubError) {
    guard !text.isEmpty, !text.utf8.contains(0) else { throw HubError(name: text, message: "a folder, file or repository name is wanted") }
    let path = text.hasPrefix("~/") ? (environment("HOME") ?? "") + text.dropFirst(1) : text
    switch Files.kind(path) {
    case .folder: (self.path, isFile, repository) = (path, false, nil)
    case .file: (self.path, isFile, repository) = (path, true, nil)
    case .other: throw HubError(name: text, message: "neither a folder nor a regular file")
    case .missing:
      let isPath = text.hasPrefix(".") || text.hasPrefix("/") || text.hasPrefix("~") || text.split(separator: "/").count > 2
      if isPath { throw HubError(name: text, message: "no such folder or file") }
      let name: RepositoryName
      do throws(HubError) { name = try RepositoryName(text) } catch {
        throw HubError(name: text, message: "no such folder or file, and \(error.message)")
      }
      self.path = try HubCache(environment: environment).snapshot(of: name, revision: revision)
      (isFile, repository) = (false, name.description)
    }
  }
}
