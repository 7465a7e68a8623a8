/// What a SentencePiece `tokenizer.model` says.
struct SentencePieceFile: Sendable {
  enum Kind: Int, Sendable { case unigram = 1, bpe, word, char }
  enum PieceType: Int, Sendable { case normal = 1, unknown, control, userDefined, unused, byte }

  struct Piece: Sendable {
    var text: [UInt8] = []
    var score: Float = 0
    var type = PieceType.normal
  }

  struct Normalization: Sendable {
    var charsMap: CharsMap?
    var addsPrefix = true
    var removesExtraSpaces = true
    var escapesSpaces = true
    var spaceIsSuffix = false
  }

  let file: String
  private(set) var pieces: [Piece] = []
  private(set) var kind = Kind.unigram
  private(set) var byteFallback = false
  private(set) var normalization = Normalization()
  private(set) var unknownSurface: [UInt8] = Array(" \u{2047} ".utf8)
  private(set) var unknownID = -1
  private(set) var bosID = 1
  private(set) var eosID = 2
  private(set) var padID = -1

  /// - Throws: `TokenizerError`: no protobuf, a field of the wrong kind, an empty vocabulary, an empty or repeated piece, no unknown
  ///   piece, or byte fallback without all 256 byte pieces.
  init(_ bytes: [UInt8], file: String) throws {
    self.file = file
    var reader = ProtobufReader(bytes[...], file: file)
    var spaceIsSuffix = false
    while let (field, value) = try reader.next() {
      switch field {
      case 1: pieces.append(try piece(try slice(value, "pieces[\(pieces.count)]")))
      case 2: try trainer(try slice(value, "trainer_spec"), &spaceIsSuffix)
      case 3: try normalizer(try slice(value, "normalizer_spec"))
      default: break
      }
      guard pieces.count <= TokenTable.idLimit else { throw failure("pieces", "over \(TokenTable.idLimit) pieces") }
    }
    normalization.spaceIsSuffix = spaceIsSuffix
    try check()
  }

  private func failure(_ field: String, _ message: String) -> TokenizerError { TokenizerError(file: file, field: field, message) }

  private func slice(_ value: ProtobufReader.Value, _ field: String) throws -> ArraySlice<UInt8> {
    guard let slice = value.slice else { throw failure(field, "a message or text is wanted, found a number") }
    return slice
  }

  private func piece(_ bytes: ArraySlice<UInt8>) throws -> Piece {
    let name = "pieces[\(pieces.count)]"
    var reader = ProtobufReader(bytes, file: file)
    var piece = Piece()
    while let (field, value) = try reader.next() {
      switch field {
      case 1:
        piece.text = Array(try slice(value, name + ".piece"))
        guard String(validating: piece.text, as: UTF8.self) != nil else { throw failure(name + ".piece", "text that is not UTF-8") }
      case 2:
        guard let score = value.float, score.isFinite else { throw failure(name + ".score", "a finite number is wanted") }
        piece.score = score
      case 3:
        guard let type = value.int.flatMap(PieceType.init) else { throw failure(name + ".type", "a type of 1 to 6 is wanted") }
        piece.type = type
      default: break
      }
    }
    guard !piece.text.isEmpty else { throw failure(name + ".piece", "an empty piece") }
    return piece
  }

  private mutating func trainer(_ bytes: ArraySlice<UInt8>, _ spaceIsSuffix: inout Bool) throws {
    var reader = ProtobufReader(bytes, file: file)
    while let (field, value) = try reader.next() {
      switch field {
      case 3:
        guard let kind = value.int.flatMap(Kind.init) else { throw failure("trainer_spec.model_type", "a type of 1 to 4 is wanted") }
        self.kind = kind
      case 24: spaceIsSuffix = value.bool ?? spaceIsSuffix
      case 35: byteFallback = value.bool ?? byteFallback
      case 41: bosID = value.int ?? bosID
      case 42: eosID = value.int ?? eosID
      case 43: padID = value.int ?? padID
      case 44: unknownSurface = Array(try slice(value, "trainer_spec.unk_surface"))
      default: break
      }
    }
  }

  private mutating func normalizer(_ bytes: ArraySlice<UInt8>) throws {
    var reader = ProtobufReader(bytes, file: file)
    while let (field, value) = try reader.next() {
      switch field {
      case 2:
        let map = Array(try slice(value, "normalizer_spec.precompiled_charsmap"))
        guard !map.isEmpty else { continue }
        do { normalization.charsMap = try CharsMap(map) } catch let error as TokenizerError {
          throw failure("normalizer_spec.precompiled_charsmap", error.message)
        }
      case 3: normalization.addsPrefix = value.bool ?? true
      case 4: normalization.removesExtraSpaces = value.bool ?? true
      case 5: normalization.escapesSpaces = value.bool ?? true
      default: break
      }
    }
  }

  private mutating func check() throws {
    guard !pieces.isEmpty else { throw failure("pieces", "the vocabulary is empty: this is no SentencePiece model") }
    var seen = (normal: Set<[UInt8]>(), reserved: Set<[UInt8]>())
    for (index, piece) in pieces.enumerated() {
      let isNew: Bool
      switch piece.type {
      case .normal, .userDefined, .unused: isNew = seen.normal.insert(piece.text).inserted
      case .unknown, .control, .byte: isNew = seen.reserved.insert(piece.text).inserted
      }
      guard isNew else { throw failure("pieces[\(index)]", "the piece \"\(String(decoding: piece.text, as: UTF8.self))\" stands twice") }
      if piece.type == .unknown {
        guard unknownID < 0 else { throw failure("pieces[\(index)]", "a second unknown piece; the first is pieces[\(unknownID)]") }
        unknownID = index
      }
    }
    guard unknownID >= 0 else { throw failure("pieces", "no piece is the unknown one") }
    guard byteFallback else { return }
    let bytes = Set(pieces.filter { $0.type == .byte }.map(\.text))
    for byte in 0..<256 where !bytes.contains(Self.bytePiece(UInt8(byte))) {
      throw failure(
        "pieces", "byte_fallback is set, and the piece \(String(decoding: Self.bytePiece(UInt8(byte)), as: UTF8.self)) is missing")
    }
  }

  static func bytePiece(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], 0x3E]
  }
}
