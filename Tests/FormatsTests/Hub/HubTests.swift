import Foundation
import SwiftletHub
import Testing

@Suite struct HubTests {
  private let commit = String(repeating: "0a", count: 20)

  private func cache(_ folder: TemporaryFolder) throws {
    try folder.write("hub/models--org--name/refs/main", commit + "\n")
    try folder.write("hub/models--org--name/refs/refs/pr/1", commit)
    try folder.write("hub/models--org--name/blobs/b1", "{}")
    try folder.write("hub/models--org--name/snapshots/\(commit)/readme", "x")
    let link = "\(folder.path)/hub/models--org--name/snapshots/\(commit)/config.json"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "../../blobs/b1")
  }

  @Test func variablesNameTheCache() {
    let cases: [([String: String], String)] = [
      (["HOME": "/h"], "/h/.cache/huggingface/hub"), (["HOME": "/h", "XDG_CACHE_HOME": "/x"], "/x/huggingface/hub"),
      (["HOME": "/h", "XDG_CACHE_HOME": "/x", "HF_HOME": "/f"], "/f/hub"), (["HF_HOME": "/f", "HF_HUB_CACHE": "/c"], "/c"),
      (["HOME": "/h", "HF_HOME": ""], "/h/.cache/huggingface/hub"),
    ]
    for (variables, folder) in cases { #expect(HubCache { variables[$0] }.folder == folder) }
  }

  @Test func modelsAreFound() throws {
    let folder = try TemporaryFolder()
    try cache(folder)
    let environment: (String) -> String? = { $0 == "HF_HOME" ? folder.path : nil }
    let snapshot = "\(folder.path)/hub/models--org--name/snapshots/\(commit)"
    for revision in ["main", "refs/pr/1", commit] {
      #expect(try ModelSource("org/name", revision: revision, environment: environment).path == snapshot)
    }
    #expect(try ModelSource(folder.path).isFile == false)
    #expect(try ModelSource(try folder.write("a.gguf", "x")).isFile)
    let home: (String) -> String? = { $0 == "HOME" ? folder.path : nil }
    #expect(try ModelSource("~/hub", environment: home).path == "\(folder.path)/hub")
  }

  @Test func failuresSayWhatWasLookedFor() throws {
    let folder = try TemporaryFolder()
    try cache(folder)
    let environment: (String) -> String? = { $0 == "HF_HOME" ? folder.path : nil }
    let cases: [(String, String, String)] = [
      ("org/other", "main", "models--org--other"), ("org/name", "dev", "refs/dev"), ("org/name", "../../x", "no revision name"),
      ("org/name", String(repeating: "f", count: 40), "refs/ffff"), ("", "main", "a folder, file or repository name"),
      ("./nothing", "main", "no such folder or file"), ("/nothing", "main", "no such folder"), ("a/b/c", "main", "no such folder"),
      ("a..b", "main", "'--' and '..'"), ("-a/b", "main", "starts or ends"), ("a/", "main", "an empty part"),
      ("a b", "main", "only letters"),
      ("a/b.git", "main", "'.git'"), ("a--b", "main", "'--'"), (String(repeating: "a", count: 97), "main", "96"),
      ("a\0", "main", "is wanted"),
    ]
    for (name, revision, part) in cases {
      let found = message { try ModelSource(name, revision: revision, environment: environment) }
      #expect(found?.contains(part) == true, "\(name): \(found ?? "accepted")")
    }
    try FileManager.default.removeItem(atPath: "\(folder.path)/hub/models--org--name/blobs/b1")
    #expect(message { try ModelSource("org/name", environment: environment) }?.contains("incomplete: config.json") == true)
  }
}
