import SwiftletTokenizers
import Testing

/// Tokenizer files that no honest program writes, each refused by an error that names the field.
@Suite struct RefusedFilesTests {
  private func message(_ body: () throws -> Tokenizer) -> String {
    do { _ = try body() } catch { return "\(error)" }
    return "accepted"
  }

  private static let bpe = #""type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]"#

  /// A `tokenizer.json` with this model and further fields.
  private func file(_ model: String = RefusedFilesTests.bpe, _ more: String = "") -> String {
    "{\"model\":{\(model)}\(more.isEmpty ? "" : ",\(more)")}"
  }

  private func models() -> [(String, String)] {
    [
      (file(""), "model.vocab: the field is missing"), (file(#""type":"BPE""#), "model.vocab"),
      (file(#""type":"Magic","vocab":{}"#), "model: the type \"Magic\""),
      (file(#""type":5,"vocab":{}"#), "model.type: a string is wanted"), (file(#""type":"BPE","vocab":[],"merges":[]"#), "model.vocab"),
      (file(#""type":"BPE","vocab":{"a":-1},"merges":[]"#), "model.vocab"),
      (file(#""type":"BPE","vocab":{"a":1.5},"merges":[]"#), "model.vocab"),
      (file(#""type":"BPE","vocab":{"a":"0"},"merges":[]"#), "model.vocab"),
      (file(#""type":"BPE","vocab":{"a":99999999999},"merges":[]"#), "model.vocab"),
      (file(#""type":"BPE","vocab":{"a":0}"#), "model.merges: the field is missing"),
      (file(#""type":"BPE","vocab":{"a":0},"merges":5"#), "model.merges"),
      (file(#""type":"BPE","vocab":{"a":0},"merges":[5]"#), "model.merges"),
      (file(#""type":"BPE","vocab":{"a":0},"merges":["a"]"#), "model.merges"),
      (file(#""type":"BPE","vocab":{"a":0},"merges":["a z"]"#), "model.merges[0]: the token \"z\""),
      (file(#""type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]"#), "model.merges[0]: the token \"ab\""),
      (file(#""type":"BPE","vocab":{"a":0},"merges":[["a"]]"#), "model.merges"),
      (file(#""type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]"#), "model.merges"),
      (file(Self.bpe + #","dropout":2"#), "model.dropout"),
      (file(Self.bpe + #","unk_token":5"#), "model.unk_token"), (file(Self.bpe + #","byte_fallback":"yes""#), "model.byte_fallback"),
      (file(Self.bpe + #","fuse_unk":1"#), "model.fuse_unk"),
      (file(Self.bpe + #","continuing_subword_prefix":[]"#), "model.continuing_subword_prefix"),
      (file(#""type":"Unigram","vocab":{"a":1}"#), "model.vocab"),
      (file(#""type":"Unigram","vocab":[["a"]]"#), "model.vocab"), (file(#""type":"Unigram","vocab":[["a","x"]]"#), "model.vocab"),
      (file(#""type":"Unigram","vocab":[[5,0.5]]"#), "model.vocab"),
      (file(#""type":"Unigram","vocab":[["a",-1]],"unk_id":1"#), "model.unk_id"),
      (file(#""type":"Unigram","vocab":[["a",-1]],"unk_id":-1"#), "model.unk_id"),
      (file(#""type":"Unigram","vocab":[],"unk_id":0"#), "model.unk_id"),
      (file(#""type":"WordPiece","vocab":{"a":0}"#), "model.unk_token: the field is missing"),
      (
        file(#""type":"WordPiece","vocab":{"a":0},"unk_token":"a","continuing_subword_prefix":"","max_input_chars_per_word":-1"#),
        "model.max_input_chars_per_word"
      ),
      (file(#""type":"WordLevel","vocab":{"a":0}"#), "model.unk_token"), ("{}", "model: the field is missing"), ("{\"model\":5}", "model"),
      ("{\"model\":null}", "model"),
    ]
  }

  private func steps() -> [(String, String)] {
    func step(_ section: String, _ json: String) -> String { file(Self.bpe, "\"\(section)\":\(json)") }
    return [
      (step("version", "\"2.0\""), "version: version 1.0 is wanted"), (step("normalizer", "5"), "normalizer"),
      (step("normalizer", "{}"), "normalizer.type: the field is missing"),
      (step("normalizer", #"{"type":"Magic"}"#), "normalizer: the type \"Magic\""),
      (step("normalizer", #"{"type":"Strip"}"#), "normalizer.strip_left"),
      (step("normalizer", #"{"type":"Replace","content":"x"}"#), "normalizer.pattern"),
      (step("normalizer", #"{"type":"Replace","pattern":{},"content":"x"}"#), "normalizer.pattern"),
      (step("normalizer", #"{"type":"Replace","pattern":{"Regex":"("},"content":"x"}"#), "normalizer.pattern.Regex"),
      (step("normalizer", #"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"?"}]}"#), "normalizer.normalizers[1]"),
      (step("normalizer", #"{"type":"Sequence"}"#), "normalizer.normalizers: the field is missing"),
      (step("normalizer", #"{"type":"Precompiled","precompiled_charsmap":"!"}"#), "normalizer.precompiled_charsmap: base64"),
      (step("normalizer", #"{"type":"Precompiled","precompiled_charsmap":"/////w=="}"#), "normalizer.precompiled_charsmap"),
      (step("normalizer", #"{"type":"Precompiled","precompiled_charsmap":"AA=="}"#), "normalizer.precompiled_charsmap"),
      (step("normalizer", #"{"type":"BertNormalizer","lowercase":true}"#), "normalizer.clean_text"),
      (step("pre_tokenizer", #"{"type":"ByteLevel"}"#), "pre_tokenizer.add_prefix_space"),
      (step("pre_tokenizer", #"{"type":"Split","pattern":{"Regex":"[z-a]"},"behavior":"Isolated"}"#), "pre_tokenizer.pattern.Regex"),
      (
        step("pre_tokenizer", #"{"type":"Split","pattern":{"Regex":"a{99999999999}"},"behavior":"Isolated"}"#),
        "pre_tokenizer.pattern.Regex"
      ),
      (
        step("pre_tokenizer", #"{"type":"Split","pattern":{"Regex":"\\p{Nonsense}"},"behavior":"Isolated"}"#), "pre_tokenizer.pattern.Regex"
      ),
      (step("pre_tokenizer", #"{"type":"Split","pattern":{"String":"a"},"behavior":"Sometimes"}"#), "pre_tokenizer.behavior"),
      (step("pre_tokenizer", #"{"type":"Split","pattern":{"String":"a"}}"#), "pre_tokenizer.behavior"),
      (step("pre_tokenizer", #"{"type":"Metaspace","replacement":"ab"}"#), "pre_tokenizer.replacement"),
      (step("pre_tokenizer", #"{"type":"Metaspace","replacement":""}"#), "pre_tokenizer.replacement"),
      (step("pre_tokenizer", #"{"type":"Metaspace","replacement":"_","prepend_scheme":"maybe"}"#), "pre_tokenizer.prepend_scheme"),
      (step("pre_tokenizer", #"{"type":"Digits"}"#), "pre_tokenizer.individual_digits"),
      (step("pre_tokenizer", #"{"type":"FixedLength","length":0}"#), "pre_tokenizer.length"),
      (step("post_processor", #"{"type":"BertProcessing","sep":["a"],"cls":["a",0]}"#), "post_processor.sep"),
      (step("post_processor", #"{"type":"BertProcessing","sep":["a",-1],"cls":["a",0]}"#), "post_processor.sep[1]"),
      (step("post_processor", #"{"type":"TemplateProcessing"}"#), "post_processor"),
      (
        step(
          "post_processor",
          #"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"pair":[],"special_tokens":{}}"#),
        "post_processor.special_tokens.x: the field is missing"
      ),
      (
        step(
          "post_processor", #"{"type":"TemplateProcessing","single":[{"Sequence":{"id":"C","type_id":0}}],"pair":[],"special_tokens":{}}"#),
        "id: a sequence of"
      ),
      (step("decoder", #"{"type":"Strip","content":" ","start":-1,"stop":0}"#), "decoder.start"),
      (step("decoder", #"{"type":"Sequence","decoders":[5]}"#), "decoder.decoders[0]"),
      (step("decoder", #"{"type":"CTC"}"#), "decoder.pad_token"),
      (step("added_tokens", "5"), "added_tokens"), (step("added_tokens", "[5]"), "added_tokens[0]"),
      (step("added_tokens", #"[{"id":3}]"#), "added_tokens[0].content"),
      (step("added_tokens", #"[{"content":"x"}]"#), "added_tokens[0].id"),
      (step("added_tokens", #"[{"content":"x","id":-3}]"#), "added_tokens[0].id"),
      (step("added_tokens", #"[{"content":"x","id":99999999999}]"#), "added_tokens[0].id"),
      (step("added_tokens", #"[{"content":"x","id":3,"special":"no"}]"#), "added_tokens[0].special"),
    ]
  }

  @Test func tokenizerJSON() {
    let texts: [(String, String)] = [
      ("", "not JSON"), ("[]", "an object is wanted"), ("{\"model\":", "not JSON"), (file() + "x", "not JSON: 1:"),
      (file(Self.bpe, "\"a\":1,\"a\":2"), "stands twice"),
      (String(repeating: "[", count: 100_000), "nesting deeper"),
    ]
    for (text, part) in texts + models() + steps() {
      let found = message { try Tokenizer.load(json: Array(text.utf8)) }
      #expect(found.contains(part) && found.hasPrefix("tokenizer.json: "), "\(text.prefix(300)): \(found)")
    }
    #expect(message { try Tokenizer.load(json: Array(file().utf8)) } == "accepted")
  }

  private func varint(_ value: UInt64) -> [UInt8] { value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7) }
  private func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] { varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes }
  private func number(_ field: UInt64, _ value: UInt64) -> [UInt8] { varint(field << 3) + varint(value) }
  private func score(_ value: Float) -> [UInt8] { varint(2 << 3 | 5) + withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
  private func piece(_ text: String, type: UInt64 = 1, score value: Float = -1) -> [UInt8] {
    field(1, field(1, Array(text.utf8)) + score(value) + number(3, type))
  }

  @Test func sentencePiece() {
    let unknown = piece("<unk>", type: 2)
    let good = unknown + piece("a") + piece("b")
    let cases: [(String, [UInt8], String)] = [
      ("empty", [], "pieces: the vocabulary is empty"), ("text", Array("hello world".utf8), "this is no protobuf file"),
      ("a zip", Array("PK\u{3}\u{4}".utf8), "this is no protobuf file"),
      ("cut length", good + [0x0A], "a number without an end"),
      ("cut piece", Array(good.dropLast(3)), "cut short"), ("length beyond the file", good + [0x0A, 0x7F, 1], "127 bytes is announced"),
      ("length 2^63", good + [0x0A] + varint(1 << 63), "is announced"),
      ("number of 11 bytes", good + [UInt8](repeating: 0xFF, count: 11), "a number of more than 10 bytes"),
      ("wire type 3", good + [0x0B], "wire type 3"), ("wire type 7", good + [0x0F], "wire type 7"),
      ("fixed cut", good + [0x0D, 1], "cut short"), ("wide cut", good + [0x09, 1, 2], "cut short"),
      ("piece is a number", good + number(1, 5), "pieces[3]"), ("empty piece", good + piece(""), "pieces[3].piece: an empty piece"),
      ("no text", good + field(1, score(1)), "pieces[3].piece"),
      ("not UTF-8", good + field(1, field(1, [0xFF, 0xFE])), "pieces[3].piece: text that is not UTF-8"),
      ("score is text", good + field(1, field(1, [0x78]) + field(2, [1])), "pieces[3].score"),
      ("score is NaN", good + piece("x", score: .nan), "pieces[3].score: a finite number"),
      ("score is infinite", good + piece("x", score: -.infinity), "pieces[3].score"),
      ("type 0", good + piece("x", type: 0), "pieces[3].type"), ("type 7", good + piece("x", type: 7), "pieces[3].type"),
      ("type 2^64-1", good + piece("x", type: .max), "pieces[3].type"),
      ("twice", good + piece("a"), "pieces[3]: the piece \"a\" stands twice"),
      ("two unknowns", good + piece("<u>", type: 2), "pieces[3]: a second unknown"),
      ("no unknown", piece("a"), "pieces: no piece is the unknown one"), ("no pieces", field(2, []), "pieces: the vocabulary is empty"),
      ("trainer is a number", good + number(2, 1), "trainer_spec"),
      ("model type 0", good + field(2, number(3, 0)), "trainer_spec.model_type"),
      ("model type 9", good + field(2, number(3, 9)), "trainer_spec.model_type"),
      ("byte fallback without bytes", good + field(2, number(35, 1)), "the piece <0x00> is missing"),
      ("normalizer is a number", good + number(3, 1), "normalizer_spec"),
      ("charsmap cut", good + field(3, field(2, [1])), "normalizer_spec.precompiled_charsmap"),
      ("charsmap size", good + field(3, field(2, [0xFF, 0xFF, 0xFF, 0xFF, 0])), "normalizer_spec.precompiled_charsmap"),
      ("charsmap is a number", good + field(3, number(2, 1)), "normalizer_spec.precompiled_charsmap"),
      ("surface is a number", good + field(2, number(44, 1)), "trainer_spec.unk_surface"),
    ]
    for (name, bytes, part) in cases {
      let found = message { try Tokenizer.load(model: bytes) }
      #expect(found.contains(part) && found.hasPrefix("tokenizer.model: "), "\(name): \(found)")
    }
    #expect(message { try Tokenizer.load(model: good) } == "accepted")
  }
}
