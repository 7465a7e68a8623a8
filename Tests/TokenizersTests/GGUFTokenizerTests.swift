import Foundation
import SwiftletFormats
import SwiftletTokenizers
import Testing

/// Tokenizers of GGUF files that are sound.
@Suite struct GGUFTokenizerTests {
  /// Tokens keep the ids of the file wherever control tokens stand in it, also in the files written from it, which say all that the tokenizers
  /// package wants; unused tokens are not found in text.
  @Test func idsAreThoseOfTheFile() throws {
    let folder = NSTemporaryDirectory() + "swiftlet-gguf-tokenizer-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let tokens = ["<e>", "<s>", "a", "b", "ab", "[PAD5]", "<u>", "P", "A", "D", "5", "[", "]"]
    let types: [Int32] = [3, 3, 1, 1, 1, 5, 4, 1, 1, 1, 1, 1, 1]
    let path = folder + "/t.gguf"
    try GGUFWriter(
      path,
      metadata: [
        ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("smollm")),
        ("tokenizer.ggml.tokens", .array(GGUFArray(tokens))), ("tokenizer.ggml.token_type", .array(GGUFArray(types))),
        ("tokenizer.ggml.merges", .array(GGUFArray(["a b"]))), ("tokenizer.ggml.eos_token_id", .uint32(0)),
      ], tensors: []
    ).finish()
    let files = try Tokenizer.files(ofGGUF: path)
    for file in files { try Data(file.bytes).write(to: URL(fileURLWithPath: "\(folder)/\(file.name)")) }
    for place in [path, folder] {
      let tokenizer = try Tokenizer.load(folder: place)
      #expect(try tokenizer.encode("<s>abb<u>a<e>") == [1, 4, 3, 6, 2, 0], "\(place)")
      #expect(try tokenizer.encode("[PAD5]") == [11, 7, 8, 9, 10, 12], "\(place)")
      #expect(tokenizer.decode([1, 4, 6]) == "<s>ab<u>" && tokenizer.specialTokens.eos?.id == 0)
    }
    let json = try JSON(parsing: Data(files.first { $0.name == "tokenizer.json" }?.bytes ?? []))
    let added = json["added_tokens"]?.array ?? []
    #expect(added.compactMap { $0["id"]?.int } == [0, 1, 6] && added.compactMap { $0["special"]?.bool } == [true, true, false])
    for token in added {
      #expect(["single_word", "lstrip", "rstrip", "normalized"].allSatisfy { token[$0]?.bool == false }, "\(token)")
    }
    #expect(json["decoder"]?["add_prefix_space"]?.bool == false && json["decoder"]?["trim_offsets"]?.bool == true)
    // And back into another file, as they stood.
    let again = try Tokenizer.ggufMetadata(folder: path, vocabulary: tokens.count)
    #expect(
      try again.map(\.0) == GGUFFile(path).header.metadata.map(\.key) && again.map(\.1) == GGUFFile(path).header.metadata.map(\.value))
    #expect(throws: TokenizerError.self) { try Tokenizer.ggufMetadata(folder: path, vocabulary: tokens.count + 1) }
  }
}
