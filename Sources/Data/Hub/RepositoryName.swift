/// A repository's name on the Hugging Face hub, checked by the hub's own rules: `name` or `organisation/name`, each of letters, digits,
/// `-`, `_` and `.`, neither starting nor ending with `-` or `.`, without `--` or `..`, not ending in `.git`, 96 characters in all.
public struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
  /// `organisation/name`.
  public let description: String

  /// Checks a name.
  /// - Throws: `HubError` that says which rule is broken.
  public init(_ text: String) throws(HubError) {
    func fail(_ rule: String) -> HubError { HubError(name: text, message: "no repository name: \(rule)") }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count) else { throw fail("'name' or 'organisation/name' is wanted") }
    guard text.utf8.count <= 96 else { throw fail("longer than 96 characters") }
    for part in parts {
      guard let first = part.utf8.first, let last = part.utf8.last else { throw fail("an empty part") }
      guard part.utf8.allSatisfy(Self.isAllowed) else { throw fail("only letters, digits, '-', '_' and '.' are allowed") }
      guard ![first, last].contains(where: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }) else {
        throw fail("a part starts or ends with '-' or '.'")
      }
      guard !part.contains("--"), !part.contains("..") else { throw fail("'--' and '..' are not allowed") }
    }
    guard !text.hasSuffix(".git") else { throw fail("it ends in '.git'") }
    description = text
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  /// The folder's name in the cache: `models--organisation--name`.
  package func folderName(kind: String) -> String {
    "\(kind)--" + description.split(separator: "/").joined(separator: "--")
  }
}
