-- Taking a seed back is for a database that has not served yet; the registries themselves refuse DELETE.
ALTER TABLE progress.verbs DISABLE TRIGGER verbs_are_only_added;
ALTER TABLE progress.extension_namespaces DISABLE TRIGGER extension_namespaces_are_only_added;
DELETE FROM progress.verbs WHERE introduced_in = '0.1.0';
DELETE FROM progress.extension_namespaces WHERE introduced_in = '0.1.0';
ALTER TABLE progress.verbs ENABLE TRIGGER verbs_are_only_added;
ALTER TABLE progress.extension_namespaces ENABLE TRIGGER extension_namespaces_are_only_added;
