// Writes the JSON Schema of a dashboard, and of the options of the panels we use, from the TypeScript of @grafana/schema.
//   npm install --no-package-lock && node generate.mjs > grafana-schema.json
import fs from 'node:fs';
import path from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';

const here = import.meta.dirname;
const types = path.join('node_modules', '@grafana', 'schema', 'dist', 'types', 'raw');
const PANELS = { timeseries: 'timeseries', stat: 'stat', table: 'table', 'state-timeline': 'statetimeline' };

// A file per panel: each of them calls its types Options and FieldConfig.
function panelSource(kind) {
  const from = `./${types}/composable/${PANELS[kind]}/panelcfg/x/types.gen`;
  const custom = kind === 'stat' ? '{}' : 'panel.FieldConfig'; // a stat has no field options of its own
  return `import type * as panel from '${from}';\nexport interface Root { options: panel.Options; custom: ${custom} }\n`;
}

function schema(name, source) {
  const entry = path.join(here, `.entry-${name}.ts`);
  const tsconfig = path.join(here, `.tsconfig-${name}.json`);
  // node10 resolves paths inside the package that its list of exports does not name.
  const compilerOptions = { target: 'es2022', module: 'esnext', moduleResolution: 'node10', strict: true, skipLibCheck: true, types: [] };
  fs.writeFileSync(entry, source);
  fs.writeFileSync(tsconfig, JSON.stringify({ compilerOptions, files: [path.basename(entry)] }));
  try {
    return createGenerator({ path: entry, tsconfig, type: 'Root', sortProps: true }).createSchema('Root');
  } finally {
    fs.rmSync(entry);
    fs.rmSync(tsconfig);
  }
}

function withoutText(node) {
  if (Array.isArray(node)) return node.map(withoutText);
  if (node === null || typeof node !== 'object') return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => !(key === 'description' && typeof value === 'string'))
      .map(([key, value]) => [key, withoutText(value)]),
  );
}

const dashboard = schema('dashboard', `import type { Dashboard } from './${types}/dashboard/x/types.gen';\nexport type Root = Dashboard;\n`);
// The package says of this type that it ought to be a query of any data source: it names only the fields of Grafana's own.
dashboard.definitions.AnnotationTarget.additionalProperties = true;

const schemas = { dashboard, ...Object.fromEntries(Object.keys(PANELS).map((kind) => [kind, schema(kind, panelSource(kind))])) };
process.stdout.write(JSON.stringify(withoutText(schemas), null, 1) + '\n');
