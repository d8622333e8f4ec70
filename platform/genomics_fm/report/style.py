"""The page's style sheet: system fonts, light and dark, narrow screens, print; colours told apart by the colour-blind.

Each colour is a role: `bpe` and `kmer` the vocabularies, the others the baselines. Lines also differ by marker
and dash, so that no statement rests on colour alone.
"""

STYLE = """
:root{color-scheme:light dark;--page:#fbfbf9;--card:#ffffff;--ink:#1b1f24;--soft:#55606b;--line:#dde1e6;
--accent:#0a5c8f;--note:#fff5df;--note-line:#c98a00;
--bpe:#0068a8;--kmer:#c24e00;--logistic:#00795a;--cnn:#94377a;--gc:#7d6200;--six_frame:#1b1f24;--majority:#6b7580}
@media (prefers-color-scheme:dark){:root{--page:#14171a;--card:#1c2024;--ink:#e8eaed;--soft:#a4aeb8;--line:#353c44;
--accent:#7cc0f0;--note:#2e2716;--note-line:#d9a534;
--bpe:#6db6f2;--kmer:#ff9b5c;--logistic:#4bd0a5;--cnn:#e79ac9;--gc:#d9be4a;--six_frame:#e8eaed;--majority:#98a3ad}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 64px}
header p{margin:2px 0;color:var(--soft)}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 6px}
h2{font-size:1.2rem;line-height:1.3;margin:0 0 8px}
h3{font-size:1rem;margin:18px 0 6px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:18px 0}
p{margin:8px 0;max-width:92ch}
.soft,figcaption{color:var(--soft);font-size:.9rem}
.note{background:var(--note);border-color:var(--note-line);border-left-width:5px}
.bad{color:#b3261e;font-weight:600}
.better{font-weight:700}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:18px 0;padding:0}
.tiles li{list-style:none;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.tiles b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:.86rem;display:block}
figure{margin:10px 0 0}
figcaption{margin-top:8px;max-width:96ch}
.scroll{overflow-x:auto;margin:10px 0}
.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.86rem;padding:0 0 6px}
th,td{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:middle}
thead th{color:var(--soft);font-weight:600;font-size:.82rem;vertical-align:bottom;border-bottom:2px solid var(--line)}
tbody th{font-weight:500}
tbody th small{color:var(--soft);font-weight:400;font-size:.82rem;margin-left:.6em;white-space:nowrap}
tbody th.group{font-weight:700;padding-top:14px;color:var(--soft)}
.n{text-align:right;white-space:nowrap}
thead .n{white-space:normal}
.names tbody th{white-space:nowrap}
.dot{stroke-width:1}
.key{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.5em;background:var(--soft);
border:2px solid var(--soft)}
.bar{display:block;height:10px;border-radius:3px;background:var(--accent);min-width:2px}
.slim{max-width:560px}
.track{display:block;width:220px}
code,pre{font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{overflow-wrap:anywhere}
pre{background:var(--page);border:1px solid var(--line);border-radius:6px;padding:10px 12px;margin:6px 0;
white-space:pre-wrap;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:8px 0}
dt{color:var(--soft)}dd{margin:0;min-width:0}
ol{padding-left:1.4em}
.plot{display:block;width:100%;height:auto;overflow:visible}
.narrow{display:none}
.plot text{font-size:13px;fill:var(--ink)}
.plot .tick{fill:var(--soft);font-size:12px}
.plot .axis-name{fill:var(--soft);font-size:13px}
.plot .label{font-size:13.5px;font-weight:600}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1}
.line,.whisker,.mark,.rule,.faint,.span{stroke:var(--soft)}
.line{fill:none;stroke-width:2.4;stroke-linejoin:round}.line.hollow{stroke-dasharray:7 5}
.whisker{stroke-width:1.5;opacity:.75}.mark{fill:var(--soft);stroke-width:2}
.mark.hollow{fill:var(--card)}
.faint{fill:none;stroke-width:1;opacity:.35}.span{stroke-width:3;opacity:.6}
.rule{stroke-width:2;stroke-dasharray:2 4}.leader{fill:none;stroke:var(--soft);stroke-width:.8;opacity:.6}
.resume{stroke:var(--note-line);stroke-width:1.5;stroke-dasharray:5 3}
.whisker-cell{width:160px;min-width:160px;height:18px;display:block}
.legend{list-style:none;padding:0;margin:8px 0 0;gap:6px 16px;flex-wrap:wrap;font-size:.9rem}
.legend li{display:flex;align-items:center;gap:8px}
.swatch{width:30px;height:16px;flex:none}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px 20px;margin:8px 0}
.pairs{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px 24px;margin:8px 0}
.panels figure,.pairs figure{margin:0}
.panels figcaption,.pairs figcaption{margin:0 0 2px;color:var(--ink);font-weight:600;font-size:.92rem}
.keys{display:flex}
@media (max-width:640px){.panels,.pairs{grid-template-columns:1fr}}
@media (max-width:640px){main{padding:18px 12px 40px}section{padding:14px;border-radius:8px}h1{font-size:1.4rem}
.wide{display:none}.plot.narrow{display:block}.legend.narrow{display:flex}
.tiles{grid-template-columns:1fr 1fr;gap:8px}.tiles li{padding:10px 12px}.tiles b{font-size:1.25rem}
dl{grid-template-columns:1fr}dd{margin-bottom:6px}
.names tbody th{white-space:normal}.scroll td:last-child:not(.n){min-width:6em}
.scroll th[scope=row]{min-width:8.5em;position:sticky;left:0;background:var(--card)}
th,td{padding:6px 8px}.track{display:none}}
@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--accent:#0a5c8f;
--note:#fff;--bpe:#0068a8;--kmer:#c24e00;--logistic:#00795a;--cnn:#94377a;--gc:#7d6200;--six_frame:#000;
--majority:#555}
body{font-size:10.5pt}main{max-width:none;padding:0}section,.tiles li{break-inside:avoid;border-color:#bbb}
.scroll{overflow:visible}.bar{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

# One rule for each role: line colour, marker fill, label colour, the dot in the table.
ROLES = ("bpe", "kmer", "logistic", "cnn", "gc", "six_frame", "majority")
STYLE += "".join(
    f".s-{role}{{stroke:var(--{role})}}.mark.s-{role}:not(.hollow){{fill:var(--{role})}}"
    f".plot .t-{role}{{fill:var(--{role})}}.k-{role}{{background:var(--{role});border-color:var(--{role})}}"
    f".k-{role}.hollow{{background:transparent}}\n"
    for role in ROLES
)
