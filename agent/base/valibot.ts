// The one door to the schema library. A bundle keeps only the names in use of a module; of an object it would keep all.
export * from 'valibot';
