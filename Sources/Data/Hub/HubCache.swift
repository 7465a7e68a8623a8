import Glibc
import SwiftletCPU
import SwiftletFormats

/// The Hugging Face cache on this machine, in its own layout, so that what other programs downloaded is found:
/// `models--ORG--NAME/{refs/main, blobs/HASH, snapshots/COMMIT/file -> ../../blobs/HASH}`.
public struct HubCache: Sendable {
  /// The folder that holds `models--…`.
  public let folder: String

  /// The cache that the environment names: `HF_HUB_CACHE`, else `$HF_HOME/hub`, else `$XDG_CACHE_HOME/huggingface/hub`, else
  /// `~/.cache/huggingface/hub`. Empty variables count as unset.
  /// - Parameter environment: looks a variable up.
  public init(environment: (String) -> String? = HubCache.variable) {
    func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
    let home = value("HOME") ?? "/"
    let cache = value("XDG_CACHE_HOME") ?? "\(home)/.cache"
    let hugging = value("HF_HOME") ?? "\(cache)/huggingface"
    let hub = value("HF_HUB_CACHE") ?? "\(hugging)/hub"
    folder = hub.hasPrefix("~/") ? home + hub.dropFirst(1) : hub
  }

  /// A variable of this process.
  public static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// The snapshot folder of a repository at a branch, tag or commit, without any network.
  /// - Parameter kind: `models` or `datasets`.
  /// - Throws: `HubError` that names the folder that was looked in, or the first file that is missing in an incomplete snapshot.
  public func snapshot(of repository: RepositoryName, revision: String = "main", kind: String = "models") throws(HubError) -> String {
    let base = "\(folder)/\(repository.folderName(kind: kind))"
    guard Files.kind(base) == .folder else {
      throw HubError(
        name: repository.description,
        message: "not a folder here, and not in the Hugging Face cache (looked for \(base)). Fix: swiftlet pull \(repository)")
    }
    let commit = try commit(revision, base: base, repository: repository)
    let snapshot = "\(base)/snapshots/\(commit)"
    guard Files.kind(snapshot) == .folder else {
      throw HubError(
        name: repository.description,
        message: "revision \(revision) is commit \(commit), whose files are not in the cache (looked for \(snapshot)). "
          + "Fix: swiftlet pull \(repository)")
    }
    try checkWhole(snapshot, repository: repository)
    return snapshot
  }

  private func commit(_ revision: String, base: String, repository: RepositoryName) throws(HubError) -> String {
    let steps = revision.split(separator: "/", omittingEmptySubsequences: false)
    guard steps.allSatisfy({ Files.isPlainName(String($0)) }) else {
      throw HubError(name: repository.description, message: "no revision name: \"\(revision)\"")
    }
    if Self.isCommit(revision), Files.kind("\(base)/snapshots/\(revision)") == .folder { return revision }
    let path = "\(base)/refs/\(revision)"
    guard let bytes = try? Files.read(path, limit: 1000) else {
      throw HubError(
        name: repository.description,
        message: "revision \(revision) is not in the cache (looked for \(path)). Fix: swiftlet pull \(repository) --revision \(revision)")
    }
    let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    guard Self.isCommit(text) else {
      throw HubError(name: repository.description, message: "\(path) holds no commit of 40 hexadecimal digits")
    }
    return text
  }

  private static func isCommit(_ text: String) -> Bool {
    text.utf8.count == 40 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// A link whose blob is missing is a download that was cut short.
  private func checkWhole(_ snapshot: String, repository: RepositoryName) throws(HubError) {
    let names = (try? Files.names(in: snapshot)) ?? []
    guard !names.isEmpty else { throw HubError(name: repository.description, message: "the snapshot \(snapshot) is empty") }
    for name in names where Files.kind("\(snapshot)/\(name)") == .missing {
      throw HubError(
        name: repository.description,
        message: "the snapshot is incomplete: \(name) is missing (\(snapshot)). Fix: swiftlet pull \(repository)")
    }
  }
}
