// Node-RED for the benchmark: no editor, nothing but what the flow needs.
module.exports = {
  flowFile: "flow.json",
  httpAdminRoot: false,
  uiHost: "127.0.0.1",
  functionExternalModules: true,
  diagnostics: { enabled: false },
  telemetry: { enabled: false, updateNotification: false },
  logging: { console: { level: "error", metrics: false, audit: false } },
};
