/**
 * The top-level domains by which a text without `https://` is known to hold a link. Every country's, and of the
 * others those in common use: the root zone has a thousand more, and changes. A domain under one that is missing
 * here is counted by its characters, and X has the last word.
 */

/** ISO 3166 and the few besides it. Country codes alone make no link: see `weightedLength`. */
export const countryDomains: readonly string[] = `
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf
cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf
gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km
kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz
na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg
sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va
vc ve vg vi vn vu wf ws ye yt za zm zw`
  .trim()
  .split(/\s+/)

export const genericDomains: readonly string[] = `
academy accountants actor adult aero agency ai airforce amsterdam apartments app archi art arpa asia associates
attorney auction audio auto band bank bar bargains bayern bbc beer berlin best bet bible bid bike bingo bio biz black
blog blue boats boutique broker build builders business buzz cab cafe cam camera camp capital cards care career
careers cars casa cash casino cat catering center charity chat cheap church city claims cleaning click clinic clothing
cloud club coach codes coffee college cologne com community company computer condos construction consulting
contractors cooking cool coop country coupons courses credit cricket cruises dance date dating day deals degree
delivery democrat dental design dev diamonds diet digital direct directory discount doctor dog domains download earth
edu education email energy engineer engineering enterprises equipment estate events exchange expert exposed express
fail faith family fan fans farm fashion film finance financial fish fit fitness flights florist flowers football
forsale foundation fun fund furniture futbol fyi gallery game games garden gay gent gifts gives glass global gmbh gold
golf google gov graphics green group guide guitars guru hamburg haus health healthcare help hiphop hockey holdings
holiday homes horse hospital host hosting hotel house how icu immo inc industries info ink institute insurance insure
int international investments irish jetzt jewelry jobs kaufen kim kitchen koeln land law lawyer lease legal lgbt life
lighting limited limo link live loan loans lol london love ltd luxury maison management market marketing mba media
memorial men menu miami mil mobi moda moe money monster mortgage mov movie museum name navy net network new news ngo
ninja nyc observer one ong onl online org organic page paris partners parts party pet phd photo photography photos
pics pictures pink pizza place plumbing plus poker porn post press pro productions promo properties property pub quest
racing radio realestate realty recipes red rehab reise reisen rent rentals repair report republican rest restaurant
review reviews rich rip rocks rodeo ruhr run sale salon school science scot security services sex sexy shoes shop
shopping show singles site ski soccer social software solar solutions space sport storage store stream studio study
style sucks supplies supply support surf surgery swiss systems tax taxi team tech technology tel tennis theater
theatre tickets tienda tips tires today tokyo tools top tours town toys trade trading training travel tube university
uno vacations vegas ventures vet viajes video villas vin vip vision vodka vote voting voyage wales watch webcam
website wedding wien wiki win wine work works world wtf xxx xyz yoga zip zone`
  .trim()
  .split(/\s+/)
