// Checks dashboards against grafana-schema.json with ajv: node validate.mjs ../json/*.json
import fs from 'node:fs';
import path from 'node:path';
import { Ajv } from 'ajv';

const schemas = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'grafana-schema.json'), 'utf8'));
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
const check = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, ajv.compile(schema)]));

function complaints(name, document) {
  if (check[name](document)) return [];
  return check[name].errors.map((error) => `${name}: ${error.instancePath || '/'} ${error.message} ${JSON.stringify(error.params)}`);
}

let bad = 0;
for (const file of process.argv.slice(2)) {
  const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));
  const found = complaints('dashboard', dashboard);
  let panels = 0;
  for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
    const parts = { options: panel.options, custom: panel.fieldConfig.defaults.custom ?? {} };
    found.push(...complaints(panel.type, parts).map((text) => `${panel.title}: ${text}`));
    panels += 1;
  }
  console.log(`${path.basename(file)}: ${found.length ? 'BAD' : 'valid'}, ${panels} panels`);
  for (const text of found) console.log(`  ${text}`);
  bad += found.length;
}
process.exit(bad ? 1 : 0);
