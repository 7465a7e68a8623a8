#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where NVIDIA's libraries may lie, in the order of trying.
///
/// Its own variable, then the loader's own search (LD_LIBRARY_PATH, ld.so.cache), then a toolkit named by CUDA_HOME or CUDA_PATH, then the
/// wheels of a Python environment, then /usr/local/cuda*, then /opt/cuda. Never `stubs` (they do nothing) nor `compat` (an older driver's).
enum LibrarySearch {
  /// Files that exist and may be the library `name` ("nvrtc", "cublasLt") under one of its sonames, best first.
  static func candidates(sonames: [String], variable: String, wheels: [String]) -> [String] {
    let folders = toolkitFolders(variables: ["CUDA_HOME", "CUDA_PATH"]) + wheelFolders(wheels) + systemFolders
    let named = environment(variable).map { [$0] } ?? []
    return named.flatMap(files(in: sonames)) + folders.flatMap(files(in: sonames))
  }

  static func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// Paths that match a pattern of the shell, in its order.
  static func matches(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
  }

  /// A folder gives its sonames, newest first; a file gives itself.
  private static func files(in sonames: [String]) -> (String) -> [String] {
    { place in
      if place.contains("/stubs") || place.contains("/compat") { return [] }
      if !isFolder(place) { return access(place, R_OK) == 0 ? [place] : [] }
      return sonames.map { "\(place)/\($0)" }.filter { access($0, R_OK) == 0 }
    }
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func toolkitFolders(variables: [String]) -> [String] {
    variables.compactMap(environment).flatMap { ["\($0)/lib64", "\($0)/targets/x86_64-linux/lib", "\($0)/targets/sbsa-linux/lib"] }
  }

  private static var systemFolders: [String] {
    matches("/usr/local/cuda*/lib64").reversed() + matches("/usr/local/cuda*/targets/*-linux/lib").reversed() + ["/opt/cuda/lib64"]
  }

  /// CUDA 13 wheels share `nvidia/cu13/lib`; those of CUDA 12 have a folder each.
  private static func wheelFolders(_ wheels: [String]) -> [String] {
    sitePackages.flatMap { site in matches("\(site)/nvidia/cu13/lib") + wheels.map { "\(site)/nvidia/\($0)/lib" } }
  }

  private static var sitePackages: [String] {
    var prefixes = ["VIRTUAL_ENV", "CONDA_PREFIX"].compactMap(environment)
    let path = environment("PATH") ?? ""
    if let folder = path.split(separator: ":").first(where: { access("\($0)/python3", X_OK) == 0 }) {
      prefixes.append(folder.hasSuffix("/bin") ? String(folder.dropLast(4)) : String(folder))
    }
    if let home = environment("HOME") { prefixes.append("\(home)/.local") }
    prefixes.append("/usr/local")
    return prefixes.flatMap { matches("\($0)/lib/python3*/site-packages") + matches("\($0)/lib/python3*/dist-packages") }
  }
}
