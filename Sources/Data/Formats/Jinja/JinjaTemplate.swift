/// A Jinja template as chat templates use it: Python's jinja2 3.1.6 in an `ImmutableSandboxedEnvironment` with `trim_blocks`,
/// `lstrip_blocks`, `break` and `continue`, the `generation` tag, `tojson` as `json.dumps` without HTML escaping, `raise_exception` and
/// `strftime_now`.
///
/// A template reaches nothing but its variables, and every rendering has a budget (`JinjaLimits`): it ends with text or with an error.
///
/// ```swift
/// let template = try JinjaTemplate("Hello {{ name|upper }}!")
/// try template.render(JSONObject([("name", "you")])).text   // Hello YOU!
/// ```
///
/// Beyond Python: integers outside 64 bits are errors. Left out, each with an error that says so: `include`, `import`, `extends`,
/// `autoescape` other than false, `random`, `lipsum`, `urlize`, `str.encode`, `str.translate` and `\N{…}`.
public struct JinjaTemplate: Sendable {
  private let template: Jinja.Template
  private let limits: JinjaLimits
  /// Whether the source has a `{% generation %}` block anywhere.
  public var hasGenerationBlocks: Bool { template.hasGenerationBlocks }

  /// Reads a template.
  /// - Throws: `JinjaError` of kind `syntax` or `limit`, with the line.
  public init(_ source: String, limits: JinjaLimits = JinjaLimits()) throws(JinjaError) {
    self.limits = limits
    do { template = try Jinja.Compiler.compile(source, limits: limits) } catch let error as JinjaError { throw error } catch {
      throw JinjaError(.syntax, "\(error)")
    }
  }

  /// Renders the template.
  /// - Parameters:
  ///   - variables: values by name; a name that is not there is undefined. They may hide the built-in functions.
  ///   - now: what `strftime_now` prints; nil is the machine's clock.
  /// - Throws: `JinjaError` with the line.
  public func render(_ variables: JSONObject = JSONObject(), now: JinjaDate? = nil) throws(JinjaError) -> JinjaRendering {
    let runtime = Jinja.Runtime(template: template, variables: variables, now: now, limits: limits)
    do { try template.render(runtime) } catch let error as JinjaError { throw error } catch { throw JinjaError(.runtime, "\(error)") }
    return JinjaRendering(text: String(decoding: runtime.output, as: UTF8.self), generationSpans: runtime.generationSpans)
  }
}

/// What a template rendered.
public struct JinjaRendering: Hashable, Sendable {
  /// The text.
  public let text: String
  /// What `{% generation %}` blocks wrote, as ranges of Unicode code points of `text`, in the order of rendering.
  public let generationSpans: [Range<Int>]
}
