@_exported import SwiftletFormats
