extension Pipeline {
  /// Reads a `tokenizer.json`. Its sections for truncation and padding are left alone: they say how batches are made.
  init(_ json: TokenizerJSON) throws {
    if let version = try json.root.optional("version"), try version.string() != "1.0" {
      throw version.error("version 1.0 is wanted, found \"\(try version.string())\"")
    }
    model = try TokenModel(json)
    normalizer = try json.root.optional("normalizer").map(Normalizer.init)
    preTokenizer = try json.root.optional("pre_tokenizer").map(PreTokenizer.init)
    postProcessor = try json.root.optional("post_processor").map(PostProcessor.init)
    decoder = try json.root.optional("decoder").map(TokenDecoder.init)
    let model = model
    let list = try json.root.optional("added_tokens")?.array().map { try AddedToken($0) } ?? []
    added = try AddedTokens(list, model: (model.size, { model.vocabulary.id($0).map(Int.init) }), normalizer: normalizer)
  }
}
